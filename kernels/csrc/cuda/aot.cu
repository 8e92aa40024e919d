// The pooling kernel for engines that run without this library: entries whose parameters stand in the order that
// TensorRT's ahead-of-time plugins fix (inputs, int32 scalars, outputs), compiled to PTX.
//
// One block per slab of 32 bytes; the launch follows from the sizes alone:
//
//     grid_x       = ceil(D / S)                        S = 8 columns for float32, 16 for float16
//     block_x      = 32 * min(12, ceil(N / 16))
//     shared bytes = 4 * S * (block_x / 4 + T * min(1, max(0, N - C)))     at most 49152
//                    C = 1536 (float32) or 1152 (float16) if D is a multiple of 4 (float32) or 8 (float16),
//                    768 (float32) or 384 (float16) if not
//
// Pointers are multiples of 16 bytes. Sizes as in launcher.h; kernels/cuda_aot.py computes the launch.

#include "pool.cuh"

namespace redvillm {
namespace cuda {

template <class Element, int kIndex>
__device__ __forceinline__ void pool_shape(const Clip<Element>& clip) {
    constexpr bool kIsWide = sizeof(Element) == 4;
    constexpr PoolShape kShape = kIsWide ? kPoolShapesFloat32[kIndex] : kPoolShapesFloat16[kIndex];
    pool_slab<kShape.vector, kShape.rows, kShape.frames>(
        clip, kSlabBytes / static_cast<int>(sizeof(Element)) / kShape.vector);
}

template <class Element>
__device__ __forceinline__ void pool_any(const Clip<Element>& clip) {
    constexpr int kVector = 16 / sizeof(Element);
    const int num_threads = static_cast<int>(blockDim.x);
    const bool is_wide = clip.width % kVector == 0;
    const int column_groups = is_wide ? 2 : 2 * kVector;
    const long long num_rows =
        (static_cast<long long>(clip.num_patches) * column_groups + num_threads - 1) / num_threads;  // per thread
    if (is_wide && num_rows <= 1)
        pool_shape<Element, 0>(clip);
    else if (is_wide && num_rows <= 4)
        pool_shape<Element, 1>(clip);
    else if (is_wide)
        pool_shape<Element, 2>(clip);
    else
        pool_shape<Element, 4>(clip);
}

}  // namespace cuda
}  // namespace redvillm

using namespace redvillm::cuda;

extern "C" {

__global__ void __launch_bounds__(kMaxPoolThreads, 1)
    redvillm_pool_float32(const float* x, int num_frames, int num_patches, int width, float* temporal, float* spatial) {
    pool_any(Clip<float>{x, nullptr, num_frames, num_patches, width, temporal, spatial});
}

__global__ void __launch_bounds__(kMaxPoolThreads, 1)
    redvillm_pool_float16(const __half* x, int num_frames, int num_patches, int width, __half* temporal,
                          __half* spatial) {
    pool_any(Clip<__half>{x, nullptr, num_frames, num_patches, width, temporal, spatial});
}

__global__ void __launch_bounds__(kMaxPoolThreads, 1)
    redvillm_weighted_pool_float32(const float* x, const float* weights, int num_frames, int num_patches, int width,
                                   float* temporal, float* spatial) {
    pool_any(Clip<float>{x, weights, num_frames, num_patches, width, temporal, spatial});
}

__global__ void __launch_bounds__(kMaxPoolThreads, 1)
    redvillm_weighted_pool_float16(const __half* x, const float* weights, int num_frames, int num_patches, int width,
                                   __half* temporal, __half* spatial) {
    pool_any(Clip<__half>{x, weights, num_frames, num_patches, width, temporal, spatial});
}

}  // extern "C"
