// The kernels as plain functions over plain pointers, one set per CPU level.
// Knows shapes and pointers; does not know Python, ONNX Runtime or any framework. Nothing here allocates, throws,
// starts a thread or keeps state; threads.h shares the same functions among threads.
//
// All arrays are row-major and contiguous. Inputs are fp32, fp16 or bf16, all accumulation is fp32 or wider, outputs
// are fp32. Every level adds the same numbers in the same order, so all levels give the same bits.
#pragma once

#include <cstddef>
#include <vector>

#include "half.h"

namespace redvillm {

struct ClipShape {
    std::size_t num_frames;   // T, at least 1
    std::size_t num_patches;  // N, at least 1
    std::size_t width;        // D, at least 1
};

// Some of the columns 0 .. D - 1. The results do not depend on how a clip is split by columns.
struct ColumnRange {
    std::size_t begin, end;
};

// Both means of x [T, N, D] in one read of x, for the given columns; no other column of the results is touched:
//     temporal[n, d] = sum_t weights[t] * x[t, n, d]    weights [T] sum to 1; nullptr stands for the plain mean
//     spatial[t, d]  = sum_n x[t, n, d] / N
template <class Element>
using PoolFunction = void (*)(const Element* x, ClipShape shape, ColumnRange columns, const float* weights,
                              float* temporal, float* spatial);

// The sum over patches is the sum of the sums of up to eight blocks of patches, in the order of the blocks, whoever
// computes them. Block b holds the patches N b / B .. N (b + 1) / B - 1 of B = num_patch_blocks(N).
inline constexpr std::size_t kMaxPatchBlocks = 8;
inline constexpr std::size_t kMinPatchesPerBlock = 32;

inline std::size_t num_patch_blocks(std::size_t num_patches) {
    const std::size_t wanted = (num_patches + kMinPatchesPerBlock - 1) / kMinPatchesPerBlock;
    return wanted < kMaxPatchBlocks ? wanted : kMaxPatchBlocks;
}

struct BlockRange {
    std::size_t begin, end;
};

// Where sums over patches go: rows [T, D] from `sums`, those of each block `block_stride` floats after the one before.
// A stride of zero adds all blocks of a range up in one place.
struct BlockSums {
    float* sums;
    std::size_t block_stride;
};

// The share of one thread: all of the temporal pooling of some blocks of patches, and their sums over patches.
template <class Element>
using PoolBlocksFunction = void (*)(const Element* x, ClipShape shape, BlockRange blocks, const float* weights,
                                    float* temporal, BlockSums sums);

// spatial[i] = (spatial[i] + the sums of the further blocks, in order) / N, for i = 0 .. size - 1.
using FinishFunction = void (*)(float* spatial, std::size_t size, const float* const* further, std::size_t num_further,
                                std::size_t num_patches);

// energy[t - 1, n] = mean over d of (x[t, n, d] - x[t - 1, n, d])^2, for some of the (T - 1) N rows (t - 1, n).
struct RowRange {
    std::size_t begin, end;
};
template <class Element>
using EnergyFunction = void (*)(const Element* x, ClipShape shape, RowRange rows, float* energy);

// What one frame changes in a window of T frames that are kept as fp16.
struct WindowBuffers {
    Half* slot;            // [N, D] receives the frame, rounded to fp16
    const Half* oldest;    // [N, D] the frame that leaves the window; nullptr while the window fills
    const Half* previous;  // [N, D] the frame before this one; nullptr at the first frame
    double* sums;          // [N, D] sum of the window, updated: exact, because fp16 values fill 40 of the 53 bits
    float* spatial;        // [D] receives the frame's mean over N
    float* energy;         // [N] receives the frame's energy against `previous`; zeros without one
};

// Pushes one frame. Returns false if the frame holds a value that is not finite in fp16; `sums` is then to be rebuilt.
template <class Element>
using PushFunction = bool (*)(const Element* frame, std::size_t num_patches, std::size_t width, WindowBuffers);

// Reads `size` floats and returns their sum: what the memory gives a thread that does nothing else. `num_streams` is 1,
// from the first to the last, or 4, four quarters side by side.
using ReadFunction = float (*)(const float* from, std::size_t size, std::size_t num_streams);

struct Kernels {
    const char* level;
    PoolFunction<float> pool_f32;
    PoolFunction<Half> pool_f16;
    PoolFunction<BFloat16> pool_bf16;
    PoolBlocksFunction<float> pool_blocks_f32;
    PoolBlocksFunction<Half> pool_blocks_f16;
    PoolBlocksFunction<BFloat16> pool_blocks_bf16;
    FinishFunction finish;
    EnergyFunction<float> energy_f32;
    EnergyFunction<Half> energy_f16;
    EnergyFunction<BFloat16> energy_bf16;
    PushFunction<float> push_f32;
    PushFunction<Half> push_f16;
    PushFunction<BFloat16> push_bf16;
    ReadFunction read;
};

// The levels that this processor runs, fastest first; never empty.
const std::vector<const Kernels*>& supported_kernels();

}  // namespace redvillm
