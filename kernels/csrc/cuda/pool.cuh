// Both means of a clip in one launch that reads x once.
//
//     temporal[n, d] = sum_t w_t x[t, n, d] / sum_t w_t      w = 1 without weights; a sum of zero gives NaN
//     spatial[t, d]  = sum_n x[t, n, d] / N
//
// A block owns a slab of columns with all its rows and frames, so no block waits for another. Its threads stand in rows
// of `column_groups`, kVector columns each; a thread keeps the temporal sums of kRows rows in registers while the
// frames pass by. The spatial sum of a frame goes through shuffles to one number per warp and column, and through
// shared memory to one per column. kFrames frames share a barrier, and each is asked for kFrames frames before it is
// summed.
//
// More rows than a block's registers hold are taken in chunks: the spatial sums of all frames then wait in shared
// memory for the next chunk. Everything is added in an order that depends on the sizes alone.
#pragma once

#include "element.cuh"
#include "launch_plan.h"
#include "reduce.cuh"

namespace redvillm {
namespace cuda {

// Two blocks of the kernel of most clips, four rows a thread, share a multiprocessor at 80 registers; others may have
// 168.
template <int kRows, int kFrames>
constexpr int kMinPoolBlocks = kRows == 4 && kFrames == 1 ? 2 : 1;

template <class Element>
struct Clip {
    const Element* x;      // [T, N, D]
    const float* weights;  // [T], as given, or nullptr
    int num_frames, num_patches, width;
    Element* temporal;  // [N, D]
    Element* spatial;   // [T, D]
};

// Where one thread stands in a slab, and the rows of it that are its own in the present chunk.
template <int kVector>
struct SlabPlace {
    int slab_width, first_column;  // of the slab
    int column;                    // of this thread, the first of kVector
    int row, rows_per_pass;        // this thread has row, row + rows_per_pass, ...
    int num_rows;                  // so many of them exist

    __device__ __forceinline__ explicit SlabPlace(int column_groups) {
        const int thread = static_cast<int>(threadIdx.x);
        slab_width = column_groups * kVector;
        first_column = static_cast<int>(blockIdx.x) * slab_width;
        column = first_column + thread % column_groups * kVector;
        row = thread / column_groups;
        rows_per_pass = static_cast<int>(blockDim.x) / column_groups;
        num_rows = 0;
    }

    __device__ __forceinline__ void count_rows(int num_patches, int width) {
        const bool exists = column < width && row < num_patches;
        num_rows = exists ? (num_patches - row - 1) / rows_per_pass + 1 : 0;
    }
};

template <class Element, int kVector, int kRows>
struct FramePart {
    Pack<Element, kVector> packs[kRows];

    // Rows and frames that do not exist read as zero. `from` is the first row's place in frame 0.
    __device__ __forceinline__ void read(const Clip<Element>& clip, const SlabPlace<kVector>& place,
                                         const Element* from, int frame) {
        const int num_rows = frame < clip.num_frames ? place.num_rows : 0;
        const long long step = static_cast<long long>(place.rows_per_pass) * clip.width;
        from += static_cast<long long>(clip.num_patches * clip.width) * frame;
#pragma unroll
        for (int k = 0; k < kRows; ++k)
            packs[k] = k < num_rows ? read_pack<Element, kVector>(from + k * step) : zero_pack<Element, kVector>();
    }
};

// Adds the warps' sums of kFrames frames from `first_frame` on, and the sums that earlier chunks left in `waiting`.
template <int kFrames, class Element>
__device__ __forceinline__ void finish_frames(const Clip<Element>& clip, int slab_width, int first_column,
                                              int first_frame, const float* warp_sums, float* waiting, bool is_first,
                                              bool is_last) {
    const int num_warps = static_cast<int>(blockDim.x) / kWarp;
#pragma unroll 1
    for (int i = static_cast<int>(threadIdx.x); i < kFrames * slab_width; i += static_cast<int>(blockDim.x)) {
        const int frame = first_frame + i / slab_width;
        const int column = i % slab_width;
        if (frame >= clip.num_frames || first_column + column >= clip.width) continue;
        const float* from = warp_sums + i / slab_width * num_warps * slab_width + column;
        float sum = is_first ? 0.0f : waiting[frame * slab_width + column];
#pragma unroll 1
        for (int warp = 0; warp < num_warps; ++warp) sum += from[warp * slab_width];
        if (is_last)
            clip.spatial[static_cast<long long>(frame) * clip.width + first_column + column] =
                from_float<Element>(sum / static_cast<float>(clip.num_patches));
        else
            waiting[frame * slab_width + column] = sum;
    }
}

// Shared memory: 2 kFrames sums per warp and column, then, if the rows come in chunks, T sums per column.
template <int kVector, int kRows, int kFrames, class Element>
__device__ __forceinline__ void pool_slab(const Clip<Element>& clip, int column_groups) {
    SlabPlace<kVector> place(column_groups);
    const int num_warps = static_cast<int>(blockDim.x) / kWarp;
    const int warp = static_cast<int>(threadIdx.x) / kWarp;
    const int half_size = kFrames * num_warps * place.slab_width;
    float* waiting = shared_floats + 2 * half_size;
    float weight_scale = 1.0f, mean_scale = 1.0f / static_cast<float>(clip.num_frames);
    if (clip.weights) {
        float sum = 0.0f;
#pragma unroll 1
        for (int t = static_cast<int>(threadIdx.x); t < clip.num_frames; t += static_cast<int>(blockDim.x))
            sum += clip.weights[t];
        weight_scale = 1.0f / sum_of_block(sum, shared_floats);
        mean_scale = 1.0f;
    }
    int parity = 0;  // two halves of shared memory in turn: one barrier between writing and reading is then enough
#pragma unroll 1
    for (int first_row = 0; first_row < clip.num_patches; first_row += kRows * place.rows_per_pass) {
        const bool is_last = clip.num_patches - first_row <= kRows * place.rows_per_pass;
        place.count_rows(clip.num_patches, clip.width);
        const Element* from = clip.x + static_cast<long long>(place.row) * clip.width + place.column;
        float sums[kRows][kVector] = {};
        FramePart<Element, kVector, kRows> parts[kFrames];
#pragma unroll
        for (int f = 0; f < kFrames; ++f) parts[f].read(clip, place, from, f);
#pragma unroll 1
        for (int first_frame = 0; first_frame < clip.num_frames; first_frame += kFrames, parity ^= 1) {
            float* warp_sums = shared_floats + parity * half_size;
#pragma unroll
            for (int f = 0; f < kFrames; ++f) {
                const int frame = first_frame + f;
                const float share =
                    clip.weights ? (frame < clip.num_frames ? clip.weights[frame] * weight_scale : 0.0f) : 1.0f;
                float frame_sums[kVector] = {};
#pragma unroll
                for (int k = 0; k < kRows; ++k) {
#pragma unroll
                    for (int v = 0; v < kVector; ++v) {
                        const float value = to_float(parts[f].packs[k].values[v]);
                        sums[k][v] = fmaf(share, value, sums[k][v]);
                        frame_sums[v] += value;
                    }
                }
                parts[f].read(clip, place, from, frame + kFrames);
                sum_rows_of_warp(frame_sums, column_groups, warp_sums + (f * num_warps + warp) * place.slab_width);
            }
            __syncthreads();
            finish_frames<kFrames>(clip, place.slab_width, place.first_column, first_frame, warp_sums, waiting,
                                   first_row == 0, is_last);
        }
#pragma unroll
        for (int k = 0; k < kRows; ++k) {
            Pack<Element, kVector> means;
#pragma unroll
            for (int v = 0; v < kVector; ++v) means.values[v] = from_float<Element>(sums[k][v] * mean_scale);
            const int at = place.row + k * place.rows_per_pass;
            if (k < place.num_rows)
                write_pack(clip.temporal + static_cast<long long>(at) * clip.width + place.column, means);
        }
        place.row += kRows * place.rows_per_pass;
    }
}

template <int kVector, int kRows, int kFrames, class Element>
__global__ void __launch_bounds__(kMaxPoolThreads, kMinPoolBlocks<kRows, kFrames>)
    pool_kernel(Clip<Element> clip, int column_groups) {
    pool_slab<kVector, kRows, kFrames>(clip, column_groups);
}

}  // namespace cuda
}  // namespace redvillm
