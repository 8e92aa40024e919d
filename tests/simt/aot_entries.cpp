// Launches the entries of aot.cu with a given geometry.

#include "aot.cu"

#include <cstdint>

#define AOT_EXPORT extern "C" __attribute__((visibility("default")))

namespace {

template <class... Parameters, class... Arguments>
int launch(const std::uint32_t* geometry, void (*kernel)(Parameters...), Arguments... arguments) {
    const cudaLaunchConfig_t config{dim3(geometry[0]), dim3(geometry[1]), geometry[2], nullptr};
    return cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...);
}

}  // namespace

// geometry: blocks, threads, bytes of shared memory.
AOT_EXPORT int simt_aot_pool(const std::uint32_t* geometry, int element, const void* x, const float* weights,
                             int num_frames, int num_patches, int width, void* temporal, void* spatial) {
    if (element == 0) {
        const auto from = static_cast<const float*>(x);
        const auto to_temporal = static_cast<float*>(temporal), to_spatial = static_cast<float*>(spatial);
        if (weights)
            return launch(geometry, redvillm_weighted_pool_float32, from, weights, num_frames, num_patches, width,
                          to_temporal, to_spatial);
        return launch(geometry, redvillm_pool_float32, from, num_frames, num_patches, width, to_temporal, to_spatial);
    }
    const auto from = static_cast<const __half*>(x);
    const auto to_temporal = static_cast<__half*>(temporal), to_spatial = static_cast<__half*>(spatial);
    if (weights)
        return launch(geometry, redvillm_weighted_pool_float16, from, weights, num_frames, num_patches, width,
                      to_temporal, to_spatial);
    return launch(geometry, redvillm_pool_float16, from, num_frames, num_patches, width, to_temporal, to_spatial);
}
