// The exported functions of libredvillm_ort.so. Registers the op and counts its calls.
#include <atomic>
#include <string>

#include "decoder_kernels.h"
#include "decoder_ops.h"
#include "pool_op.h"

#define REDVILLM_EXPORT extern "C" __attribute__((visibility("default")))

namespace redvillm::ort {

namespace {

std::atomic<std::int64_t> num_calls[2], num_decoder_calls;

// Made once and never destroyed: sessions point to it, and onnxruntime may be gone when static objects are.
OrtCustomOpDomain* domain() {
    static OrtCustomOpDomain* const made = [] {
        Ort::CustomOpDomain domain{"redvillm"};
        domain.Add(&cpu_op());
        for (const OrtCustomOp* op : block_linear_ops()) domain.Add(op);
        domain.Add(&cached_attention_op());
#if defined(REDVILLM_ORT_CUDA)
        domain.Add(&cuda_op());
#endif
        return domain.release();
    }();
    return made;
}

bool has_kernel(int provider) {
#if defined(REDVILLM_ORT_CUDA)
    if (provider == static_cast<int>(Provider::kCuda)) return true;
#endif
    return provider == static_cast<int>(Provider::kCpu);
}

}  // namespace

void count_call(Provider provider) {
    num_calls[static_cast<int>(provider)].fetch_add(1, std::memory_order_relaxed);
}

void count_decoder_call() {
    num_decoder_calls.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace redvillm::ort

// What onnxruntime calls for every session options that the library is registered with.
REDVILLM_EXPORT OrtStatus* ORT_API_CALL RegisterCustomOps(OrtSessionOptions* options, const OrtApiBase* base) {
    using redvillm::ort::kApiVersion;
    const OrtApi* api = base->GetApi(kApiVersion);
    if (!api) {
        const std::string words = std::string("libredvillm_ort.so needs ONNX Runtime 1.") +
                                  std::to_string(kApiVersion) + " or newer, this is " + base->GetVersionString();
        return base->GetApi(1)->CreateStatus(ORT_FAIL, words.c_str());
    }
    Ort::InitApi(api);
    return redvillm::ort::guarded(
        [options] { Ort::ThrowOnError(Ort::GetApi().AddCustomOpDomain(options, redvillm::ort::domain())); });
}

// How often the kernel of a provider (0 CPU, 1 CUDA) has been called in this process, refused calls included; -1 if
// this library was built without that kernel.
REDVILLM_EXPORT std::int64_t redvillm_ort_calls(int provider) {
    return redvillm::ort::has_kernel(provider) ? redvillm::ort::num_calls[provider].load(std::memory_order_relaxed)
                                               : -1;
}

// The version of ONNX Runtime's API that the library asks for: the second part of that onnxruntime's own version.
REDVILLM_EXPORT int redvillm_ort_api_version() {
    return static_cast<int>(redvillm::ort::kApiVersion);
}

// How often an op of the decoder has been called in this process, refused calls included.
REDVILLM_EXPORT std::int64_t redvillm_ort_decoder_calls() {
    return redvillm::ort::num_decoder_calls.load(std::memory_order_relaxed);
}

// The CPU level that the decoder's ops run at.
REDVILLM_EXPORT const char* redvillm_ort_decoder_level() {
    return redvillm::supported_decoder_kernels().front()->level;
}
