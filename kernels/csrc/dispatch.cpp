// Which levels this processor runs. Asked once; the answer never changes.
#include "kernels.h"

namespace redvillm {

namespace baseline {
extern const Kernels kernels;
}
namespace avx2 {
extern const Kernels kernels;
}
namespace avx512 {
extern const Kernels kernels;
}

const std::vector<const Kernels*>& supported_kernels() {
    static const std::vector<const Kernels*> supported = [] {
        std::vector<const Kernels*> found;
#if defined(__x86_64__)
        __builtin_cpu_init();
        const bool has_avx2 =
            __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
        if (has_avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
            __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
            found.push_back(&avx512::kernels);
        if (has_avx2) found.push_back(&avx2::kernels);
#endif
        found.push_back(&baseline::kernels);
        return found;
    }();
    return supported;
}

}  // namespace redvillm
