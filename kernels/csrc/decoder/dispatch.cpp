// Which levels of the decoder's kernels this processor runs. Asked once; the answer never changes.
#include "decoder_kernels.h"

namespace redvillm {

#define REDVILLM_DECLARE(level)                      \
    namespace decoder_##level {                      \
        extern const DecoderKernels decoder_kernels; \
    }
REDVILLM_DECLARE(baseline)
REDVILLM_DECLARE(avx2)
REDVILLM_DECLARE(avxvnni)
REDVILLM_DECLARE(avx512)
REDVILLM_DECLARE(avx512vnni)
#undef REDVILLM_DECLARE

const std::vector<const DecoderKernels*>& supported_decoder_kernels() {
    static const std::vector<const DecoderKernels*> supported = [] {
        std::vector<const DecoderKernels*> found;
#if defined(__x86_64__)
        __builtin_cpu_init();
        const bool has_avx2 =
            __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
        const bool has_avx512 = has_avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                                __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
        if (has_avx512 && __builtin_cpu_supports("avx512vnni")) found.push_back(&decoder_avx512vnni::decoder_kernels);
        if (has_avx512) found.push_back(&decoder_avx512::decoder_kernels);
        if (has_avx2 && __builtin_cpu_supports("avxvnni")) found.push_back(&decoder_avxvnni::decoder_kernels);
        if (has_avx2) found.push_back(&decoder_avx2::decoder_kernels);
#endif
        found.push_back(&decoder_baseline::decoder_kernels);
        return found;
    }();
    return supported;
}

}  // namespace redvillm
