// The decoder's kernels for x86-64 processors with AVX-512 (F, BW, DQ, VL).
#include <immintrin.h>

#include <cstddef>
#include <cstring>
#include <utility>

#include "decoder_kernels.h"

#define REDVILLM_LEVEL decoder_avx512
#define REDVILLM_LEVEL_NAME "avx512"
#define REDVILLM_LEVEL_AVX512

#if defined(__clang__)
    #pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c"))), \
                                 apply_to = function)
#else
    #pragma GCC push_options
    #pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")
#endif

#include "level.h"

#if defined(__clang__)
    #pragma clang attribute pop
#else
    #pragma GCC pop_options
#endif
