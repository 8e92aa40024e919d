// One frame into a live window, in one launch. The frame is rounded to fp16; everything follows from the rounded
// values:
//
//     slot = frame;  sums += frame - oldest;  temporal = sums / frames in the window;
//     spatial = mean of frame over N;  energy = mean over D of (frame - previous)^2
//
// A sum over D and one over N are wanted. Blocks of rows (a warp per patch) write everything but `spatial`; blocks of
// columns read the frame a second time, which it is small enough to be found in the second-level cache, and write
// `spatial`. So no block waits for another, and there is neither a workspace nor an atomic.
//
// The sums are integers, in units of 2^-24, of which every finite fp16 value is a multiple: exact whatever the order,
// and quick also where fp64 runs at 1/64 of fp32. A value that is not finite counts as zero in them, when it enters and
// when it leaves; `spatial` is finite exactly if the whole frame is, because finite halves cannot overflow an fp32 sum.
#pragma once

#include "element.cuh"
#include "launch_plan.h"
#include "reduce.cuh"

namespace redvillm {
namespace cuda {

template <class Element>
struct WindowPush {
    const Element* frame;  // [N, D]
    int num_patches, width;
    int num_row_blocks;
    int num_frames;          // in the window, this one included
    __half* slot;            // [N, D]; may be `oldest`
    const __half* oldest;    // [N, D] or nullptr
    const __half* previous;  // [N, D] or nullptr
    long long* sums;         // [N, D]
    float* temporal;         // [N, D] or nullptr
    float* spatial;          // [D]
    float* energy;           // [N]
};

// value * 2^24 as an integer of at most 40 bits; 0 if it is not finite.
__device__ __forceinline__ long long fixed_point(__half value) {
    const unsigned bits = __half_as_ushort(value);
    const unsigned exponent = bits >> 10 & 31u;
    const unsigned fraction = bits & 0x3ffu;
    if (exponent == 31u) return 0;
    const long long magnitude = exponent ? static_cast<long long>(fraction | 0x400u) << (exponent - 1u) : fraction;
    return bits & 0x8000u ? -magnitude : magnitude;
}

// fixed * 2^-24, in two 32-bit conversions, because those of 64 bits are slow too; |fixed| < 2^55.
__device__ __forceinline__ float from_fixed_point(long long fixed) {
    const float whole = static_cast<float>(static_cast<int>(fixed >> 24));
    const float rest = static_cast<float>(static_cast<int>(fixed & 0xffffff));
    return fmaf(rest, 1.0f / 16777216.0f, whole);
}

// Everything that kVector neighbouring elements change; returns the sum of their squared changes.
template <int kVector, class Element>
__device__ __forceinline__ float push_elements(const WindowPush<Element>& push, long long at) {
    const Pack<Element, kVector> given = read_pack<Element, kVector>(push.frame + at);
    // Reads come before the writes: `slot` may be `oldest`, and in a window of one frame `previous` as well.
    const Pack<__half, kVector> leaving =
        push.oldest ? read_pack<__half, kVector>(push.oldest + at) : zero_pack<__half, kVector>();
    Pack<__half, kVector> before;
    if (push.previous) before = read_pack<__half, kVector>(push.previous + at);
    Pack<__half, kVector> now;
#pragma unroll
    for (int v = 0; v < kVector; ++v) now.values[v] = from_float<__half>(to_float(given.values[v]));
    write_pack(push.slot + at, now);

    Pack<long long, kVector> sums = read_pack<long long, kVector>(push.sums + at);
#pragma unroll
    for (int v = 0; v < kVector; ++v) sums.values[v] += fixed_point(now.values[v]) - fixed_point(leaving.values[v]);
    write_pack(push.sums + at, sums);
    if (push.temporal) {
        Pack<float, kVector> means;
#pragma unroll
        for (int v = 0; v < kVector; ++v)
            means.values[v] = from_fixed_point(sums.values[v]) / static_cast<float>(push.num_frames);
        write_pack(push.temporal + at, means);
    }
    float squares = 0.0f;
    if (push.previous) {
#pragma unroll
        for (int v = 0; v < kVector; ++v) {
            const float change = to_float(now.values[v]) - to_float(before.values[v]);
            squares = fmaf(change, change, squares);
        }
    }
    return squares;
}

template <int kVector, class Element>
__device__ __forceinline__ void push_row(const WindowPush<Element>& push) {
    const int row = static_cast<int>(blockIdx.x * (kPushThreads / kWarp) + threadIdx.x / kWarp);
    if (row >= push.num_patches) return;
    const int lane = static_cast<int>(threadIdx.x) % kWarp;
    float squares = 0.0f;
    for (int column = lane * kVector; column < push.width; column += kWarp * kVector)
        squares += push_elements<kVector>(push, static_cast<long long>(row) * push.width + column);
    const float sum = sum_of_warp(squares);
    if (lane == 0) push.energy[row] = sum / static_cast<float>(push.width);
}

template <int kVector, class Element>
__device__ __forceinline__ void sum_columns(const WindowPush<Element>& push) {
    constexpr int kGroups = kPushSlabWidth / kVector;
    constexpr int kWarps = kPushThreads / kWarp;
    const int thread = static_cast<int>(threadIdx.x);
    const int first_column = (static_cast<int>(blockIdx.x) - push.num_row_blocks) * kPushSlabWidth;
    const int column = first_column + thread % kGroups * kVector;
    float sums[kVector] = {};
    if (column < push.width) {
#pragma unroll 4
        for (int row = thread / kGroups; row < push.num_patches; row += kPushThreads / kGroups) {
            const Pack<Element, kVector> given =
                read_pack<Element, kVector>(push.frame + static_cast<long long>(row) * push.width + column);
#pragma unroll
            for (int v = 0; v < kVector; ++v) sums[v] += to_float(from_float<__half>(to_float(given.values[v])));
        }
    }
    sum_rows_of_warp(sums, kGroups, shared_floats + thread / kWarp * kPushSlabWidth);
    __syncthreads();
    if (thread < kPushSlabWidth && first_column + thread < push.width) {
        float sum = 0.0f;
#pragma unroll
        for (int warp = 0; warp < kWarps; ++warp) sum += shared_floats[warp * kPushSlabWidth + thread];
        push.spatial[first_column + thread] = sum / static_cast<float>(push.num_patches);
    }
}

template <int kVector, class Element>
__global__ void __launch_bounds__(kPushThreads) push_kernel(WindowPush<Element> push) {
    if (static_cast<int>(blockIdx.x) < push.num_row_blocks)
        push_row<kVector>(push);
    else
        sum_columns<kVector>(push);
}

}  // namespace cuda
}  // namespace redvillm
