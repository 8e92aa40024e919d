// The decoder's kernels for x86-64 processors with AVX2 and its dot products of bytes (AVX-VNNI).
#include <immintrin.h>

#include <cstddef>
#include <cstring>
#include <utility>

#include "decoder_kernels.h"

#define REDVILLM_LEVEL decoder_avxvnni
#define REDVILLM_LEVEL_NAME "avxvnni"
#define REDVILLM_LEVEL_AVX2
#define REDVILLM_LEVEL_VNNI

#if defined(__clang__)
    #pragma clang attribute push(__attribute__((target("avx2,fma,f16c,avxvnni"))), apply_to = function)
#else
    #pragma GCC push_options
    #pragma GCC target("avx2,fma,f16c,avxvnni")
#endif

#include "level.h"

#if defined(__clang__)
    #pragma clang attribute pop
#else
    #pragma GCC pop_options
#endif
