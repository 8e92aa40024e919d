// Branch-free, so that the compiler makes vectors of it; x86-64 processors with F16C have an instruction.
#include "narrow.h"

#include <cstring>

#if defined(__x86_64__)
    #include <immintrin.h>
#endif

namespace redvillm::ort {

namespace {

std::uint32_t bits_of(float value) {
    std::uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
}

float float_of(std::uint32_t bits) {
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

std::uint16_t float16_of(float value) {
    const std::uint32_t bits = bits_of(value), magnitude = bits & 0x7fffffffu;
    // Adding 0.5 leaves a last place of 2^-24, the step of subnormal halves: the addition itself rounds.
    const std::uint32_t subnormal = bits_of(float_of(magnitude) + 0.5f) - 0x3f000000u;
    const std::uint32_t normal = (magnitude - (112u << 23) + 0x0fffu + ((magnitude >> 13) & 1u)) >> 13;
    std::uint32_t half = magnitude < 0x38800000u ? subnormal : normal;  // 2^-14, the smallest normal half
    half = magnitude < 0x477ff000u ? half : 0x7c00u;                    // 65520
    half = magnitude > 0x7f800000u ? 0x7e00u : half;                    // NaN
    return static_cast<std::uint16_t>(half | ((bits >> 16) & 0x8000u));
}

std::uint16_t bfloat16_of(float value) {
    const std::uint32_t bits = bits_of(value);
    const std::uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    const bool is_nan = (bits & 0x7fffffffu) > 0x7f800000u;
    return static_cast<std::uint16_t>(is_nan ? (bits >> 16) | 0x0040u : rounded);
}

#if defined(__x86_64__)
constexpr std::size_t kLanes = 8;

// Narrows whole vectors; returns how many numbers that were.
__attribute__((target("avx,f16c"))) std::size_t narrow_vectors(const float* from, std::uint16_t* to,
                                                               std::size_t count) {
    std::size_t done = 0;
    for (; done + kLanes <= count; done += kLanes) {
        const __m128i halves = _mm256_cvtps_ph(_mm256_loadu_ps(from + done), _MM_FROUND_TO_NEAREST_INT);
        _mm_storeu_si128(reinterpret_cast<__m128i*>(to + done), halves);
    }
    return done;
}
#endif

}  // namespace

void narrow_to_float16(const float* from, std::uint16_t* to, std::size_t count) {
    std::size_t done = 0;
#if defined(__x86_64__)
    static const bool has_f16c = __builtin_cpu_supports("avx") && __builtin_cpu_supports("f16c");
    if (has_f16c) done = narrow_vectors(from, to, count);
#endif
    for (; done < count; ++done) to[done] = float16_of(from[done]);
}

void narrow_to_bfloat16(const float* from, std::uint16_t* to, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) to[i] = bfloat16_of(from[i]);
}

}  // namespace redvillm::ort
