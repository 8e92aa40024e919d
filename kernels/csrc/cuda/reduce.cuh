// Sums over the threads of a block, in an order that never changes.
// Knows threads and shared memory; does not know what is summed.
#pragma once

#include <cuda_runtime.h>

namespace redvillm {
namespace cuda {

constexpr int kWarp = 32;
constexpr unsigned kAllLanes = 0xffffffffu;

// The block's shared memory, of the size given at launch; it is the only shared memory of these kernels.
extern __shared__ float shared_floats[];

__device__ __forceinline__ float sum_of_warp(float value) {
#pragma unroll
    for (int offset = kWarp / 2; offset; offset /= 2) value += __shfl_xor_sync(kAllLanes, value, offset);
    return value;
}

// Sums a value over the block; every thread gets the sum. `scratch` holds one number per warp and is free again on
// return.
__device__ __forceinline__ float sum_of_block(float value, float* scratch) {
    const int num_warps = static_cast<int>(blockDim.x) / kWarp;
    const float warp_sum = sum_of_warp(value);
    if (threadIdx.x % kWarp == 0) scratch[threadIdx.x / kWarp] = warp_sum;
    __syncthreads();
    float sum = 0.0f;
    for (int warp = 0; warp < num_warps; ++warp) sum += scratch[warp];
    __syncthreads();
    return sum;
}

// A slab is `column_groups` groups of kVector neighbouring columns (a power of two of them, kVector * column_groups <=
// 32). Lane l of a warp holds the columns of group l % column_groups of some row. Sums them over the rows of the warp
// and writes one number per column of the slab to `slab_sums`.
//
// Each of the first log2(kVector) exchanges halves the number of columns that a lane is responsible for, so the whole
// costs kVector - 1 + log2(32 / kVector / column_groups) shuffles instead of kVector * log2(32 / column_groups).
template <int kVector>
__device__ __forceinline__ void sum_rows_of_warp(float (&values)[kVector], int column_groups, float* slab_sums) {
    constexpr int kLanesPerColumn = kWarp / kVector;
    const int lane = static_cast<int>(threadIdx.x) % kWarp;
#pragma unroll
    for (int offset = kWarp / 2, half = kVector / 2; offset; offset /= 2, half /= 2) {
        if (half) {
            const bool upper = lane & offset;
#pragma unroll
            for (int v = 0; v < half; ++v) {
                const float kept = upper ? values[v + half] : values[v];
                const float sent = upper ? values[v] : values[v + half];
                values[v] = kept + __shfl_xor_sync(kAllLanes, sent, offset);
            }
        } else if (offset >= column_groups) {
            values[0] += __shfl_xor_sync(kAllLanes, values[0], offset);
        }
    }
    if (lane % kLanesPerColumn < column_groups)
        slab_sums[lane % column_groups * kVector + lane / kLanesPerColumn] = values[0];
}

}  // namespace cuda
}  // namespace redvillm
