// ONNX Runtime's C++ headers as this library uses them: nothing of onnxruntime is linked, every call goes through the
// table of functions that RegisterCustomOps is given.
#pragma once

#ifndef ORT_API_MANUAL_INIT
    #define ORT_API_MANUAL_INIT
#endif
#include <onnxruntime_cxx_api.h>

#include <cstdint>

namespace redvillm::ort {

// The API that is asked of onnxruntime: that of the headers, but none newer than onnxruntime 1.22, the oldest that
// redvillm supports, so that new headers do not shut out old runtimes.
inline constexpr std::uint32_t kApiVersion = ORT_API_VERSION < 22 ? ORT_API_VERSION : 22;

enum class Provider { kCpu = 0, kCuda = 1 };

// One more call of the kernel of `provider`.
void count_call(Provider provider);

}  // namespace redvillm::ort
