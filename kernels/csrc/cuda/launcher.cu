// Argument checks, the choice of a kernel, and its launch.

#include "launcher.h"

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

#include "pool.cuh"
#include "window.cuh"

#define REDVILLM_CUDA_EXPORT __attribute__((visibility("default")))

namespace redvillm {
namespace cuda {
namespace {

constexpr std::int64_t kMaxWindowFrames = 8192;

template <class... Parameters>
int launch(void (*kernel)(Parameters...), int num_blocks, int num_threads, int shared_bytes, void* stream,
           Parameters... arguments) {
    cudaLaunchConfig_t config = {};
    config.gridDim = dim3(static_cast<unsigned>(num_blocks));
    config.blockDim = dim3(static_cast<unsigned>(num_threads));
    config.dynamicSmemBytes = static_cast<std::size_t>(shared_bytes);
    config.stream = static_cast<cudaStream_t>(stream);
    const cudaError_t status = cudaLaunchKernelEx(&config, kernel, arguments...);
    const cudaError_t last = cudaGetLastError();  // also clears it, so that the next call is not blamed
    return static_cast<int>(status != cudaSuccess ? status : last);
}

bool is_multiple(const void* pointer, std::size_t bytes) {
    return reinterpret_cast<std::uintptr_t>(pointer) % bytes == 0;
}

// 0, or why a frame of this type and these sizes is refused.
int check_frame(int element, std::int64_t num_patches, std::int64_t width) {
    if (element != REDVILLM_FLOAT32 && element != REDVILLM_FLOAT16) return REDVILLM_ERROR_ELEMENT;
    if (num_patches < 1 || num_patches > kMaxSize || width < 1 || width > kMaxSize) return REDVILLM_ERROR_SIZE;
    return num_patches * width > kMaxFrameSize ? REDVILLM_ERROR_SIZE : 0;
}

template <class Element>
constexpr auto& kPoolShapes = kPoolShapesFloat16;
template <>
constexpr auto& kPoolShapes<float> = kPoolShapesFloat32;

template <int kIndex = 0, class Element>
int launch_pool(const PoolPlan& plan, const Clip<Element>& clip, void* stream) {
    constexpr PoolShape kShape = kPoolShapes<Element>[kIndex];
    if (plan.shape == kIndex)
        return launch(pool_kernel<kShape.vector, kShape.rows, kShape.frames, Element>, plan.num_blocks,
                      plan.num_threads, plan.shared_bytes, stream, clip, plan.column_groups);
    if constexpr (kIndex + 1 < kNumPoolShapes) return launch_pool<kIndex + 1>(plan, clip, stream);
    return REDVILLM_ERROR_CAPACITY;
}

template <class Element>
int pool(const Clip<Element>& clip, void* stream) {
    if (!is_multiple(clip.x, sizeof(Element)) || !is_multiple(clip.temporal, sizeof(Element)) ||
        !is_multiple(clip.spatial, sizeof(Element)) || !is_multiple(clip.weights, sizeof(float)))
        return REDVILLM_ERROR_ALIGNMENT;
    const bool is_aligned = is_multiple(clip.x, 16) && is_multiple(clip.temporal, 16);
    const PoolPlan plan = plan_pool(clip.num_frames, clip.num_patches, clip.width, sizeof(Element), is_aligned);
    return launch_pool(plan, clip, stream);
}

template <class Element>
int push(const WindowPush<Element>& push, const PushPlan& plan, void* stream) {
    const bool has_halves = is_multiple(push.slot, sizeof(__half)) && is_multiple(push.oldest, sizeof(__half)) &&
                            is_multiple(push.previous, sizeof(__half));
    const bool has_floats = is_multiple(push.temporal, sizeof(float)) && is_multiple(push.spatial, sizeof(float)) &&
                            is_multiple(push.energy, sizeof(float));
    if (!has_halves || !has_floats || !is_multiple(push.frame, sizeof(Element)) ||
        !is_multiple(push.sums, sizeof(long long)))
        return REDVILLM_ERROR_ALIGNMENT;
    const bool is_aligned = push.width % kPushVector == 0 && is_multiple(push.frame, kPushVector * sizeof(Element)) &&
                            is_multiple(push.slot, kPushVector * sizeof(__half)) &&
                            is_multiple(push.oldest, kPushVector * sizeof(__half)) &&
                            is_multiple(push.previous, kPushVector * sizeof(__half)) &&
                            is_multiple(push.sums, kPushVector * sizeof(long long)) &&
                            is_multiple(push.temporal, kPushVector * sizeof(float));
    return launch(is_aligned ? push_kernel<kPushVector, Element> : push_kernel<1, Element>, plan.num_blocks,
                  kPushThreads, plan.shared_bytes, stream, push);
}

template <class Element>
WindowPush<Element> window_push(const void* frame, std::int64_t num_patches, std::int64_t width, int num_row_blocks,
                                const RedvillmCudaWindow& window) {
    static_assert(sizeof(long long) == sizeof(std::int64_t), "the sums are int64");
    return {static_cast<const Element*>(frame),
            static_cast<int>(num_patches),
            static_cast<int>(width),
            num_row_blocks,
            static_cast<int>(window.num_frames),
            static_cast<__half*>(window.slot),
            static_cast<const __half*>(window.oldest),
            static_cast<const __half*>(window.previous),
            reinterpret_cast<long long*>(window.sums),
            window.temporal,
            window.spatial,
            window.energy};
}

template <class Element>
Clip<Element> clip_of(const void* x, std::int64_t num_frames, std::int64_t num_patches, std::int64_t width,
                      const float* weights, void* temporal, void* spatial) {
    return {static_cast<const Element*>(x), weights,
            static_cast<int>(num_frames),   static_cast<int>(num_patches),
            static_cast<int>(width),        static_cast<Element*>(temporal),
            static_cast<Element*>(spatial)};
}

}  // namespace
}  // namespace cuda
}  // namespace redvillm

using namespace redvillm::cuda;

extern "C" {

REDVILLM_CUDA_EXPORT int redvillm_cuda_abi_version(void) {
    return REDVILLM_CUDA_ABI_VERSION;
}

REDVILLM_CUDA_EXPORT const char* redvillm_cuda_error_text(int status) {
    switch (status) {
        case REDVILLM_ERROR_POINTER:
            return "a pointer is null that may not be; only weights, oldest, previous and temporal of a window may be";
        case REDVILLM_ERROR_ELEMENT:
            return "an unknown element type; legal are 0 (float32) and 1 (float16)";
        case REDVILLM_ERROR_SIZE:
            return "a size outside its limits; T, N and D must be from 1 to 2^30 and N * D below 2^31";
        case REDVILLM_ERROR_ALIGNMENT:
            return "a pointer is no multiple of its element's size; pass the address of an element";
        case REDVILLM_ERROR_CAPACITY:
            return "more than 6144 patches together with more than 12264 frames; pool fewer frames at a time";
        case REDVILLM_ERROR_NUM_FRAMES:
            return "num_frames of a window must be from 1 to 8192";
        default:
            return status < 0 ? "an unknown error" : cudaGetErrorString(static_cast<cudaError_t>(status));
    }
}

REDVILLM_CUDA_EXPORT int redvillm_cuda_pool(const void* x, int element, int64_t num_frames, int64_t num_patches,
                                            int64_t width, const float* weights, void* temporal, void* spatial,
                                            void* stream) {
    if (!x || !temporal || !spatial) return REDVILLM_ERROR_POINTER;
    if (const int status = check_frame(element, num_patches, width)) return status;
    if (num_frames < 1 || num_frames > kMaxSize) return REDVILLM_ERROR_SIZE;
    if (element == REDVILLM_FLOAT32)
        return pool(clip_of<float>(x, num_frames, num_patches, width, weights, temporal, spatial), stream);
    return pool(clip_of<__half>(x, num_frames, num_patches, width, weights, temporal, spatial), stream);
}

REDVILLM_CUDA_EXPORT int redvillm_cuda_push(const void* frame, int element, int64_t num_patches, int64_t width,
                                            const RedvillmCudaWindow* window, void* stream) {
    if (!frame || !window || !window->slot || !window->sums || !window->spatial || !window->energy)
        return REDVILLM_ERROR_POINTER;
    if (const int status = check_frame(element, num_patches, width)) return status;
    if (window->num_frames < 1 || window->num_frames > kMaxWindowFrames) return REDVILLM_ERROR_NUM_FRAMES;
    const PushPlan plan = plan_push(num_patches, width);
    const int num_row_blocks = plan.num_row_blocks;
    if (element == REDVILLM_FLOAT32)
        return push(window_push<float>(frame, num_patches, width, num_row_blocks, *window), plan, stream);
    return push(window_push<__half>(frame, num_patches, width, num_row_blocks, *window), plan, stream);
}

}  // extern "C"
