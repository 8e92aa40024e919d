// What the kernels and their launcher use of CUDA, for the SIMT emulator: the words of the language, and a launch that
// runs every thread on the processor.
#pragma once

#include <cmath>
#include <cstddef>

#include "simt.h"

#define __global__
#define __device__
#define __shared__  // shared memory is one array that the emulator defines: simt.cpp
#define __forceinline__ inline
#define __launch_bounds__(...)

inline const simt::Size& threadIdx = simt::indices.thread;
inline const simt::Size& blockIdx = simt::indices.block;
inline const simt::Size& blockDim = simt::indices.block_size;
inline const simt::Size& gridDim = simt::indices.grid_size;

#define __syncthreads() simt::wait_for_block(__FILE__, __LINE__)
#define __shfl_xor_sync(mask, value, offset) simt::exchange((mask), (value), (offset), __FILE__, __LINE__)

using dim3 = simt::Size;
using cudaStream_t = void*;
enum cudaError_t { cudaSuccess = 0, cudaErrorInvalidConfiguration = 9, cudaErrorLaunchFailure = 719 };

struct cudaLaunchConfig_t {
    dim3 gridDim, blockDim;
    std::size_t dynamicSmemBytes;
    cudaStream_t stream;
};

inline cudaError_t cudaGetLastError() {
    return cudaSuccess;
}
inline const char* cudaGetErrorString(cudaError_t error) {
    return error == cudaErrorInvalidConfiguration ? "invalid configuration argument" : simt::faults();
}

template <class... Parameters, class... Arguments>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(Parameters...),
                               Arguments... arguments) {
    if (!simt::is_legal(config->gridDim, config->blockDim, config->dynamicSmemBytes))
        return cudaErrorInvalidConfiguration;
    const auto body = [&] { kernel(arguments...); };
    return simt::run(config->gridDim, config->blockDim, config->dynamicSmemBytes, body) ? cudaSuccess
                                                                                        : cudaErrorLaunchFailure;
}
