// Sixteen fp32 numbers at a time, for one CPU level: four SSE or NEON registers, two of AVX2 or one of AVX-512.
// Knows arithmetic and conversions, not what is computed. Included once per level; no include guard: see level.h.

namespace redvillm {
namespace REDVILLM_LEVEL {

#if defined(REDVILLM_LEVEL_AVX512)
inline constexpr std::size_t kRegisterBytes = 64;
#elif defined(REDVILLM_LEVEL_AVX2)
inline constexpr std::size_t kRegisterBytes = 32;
#else
inline constexpr std::size_t kRegisterBytes = 16;
#endif

inline constexpr std::size_t kLanes = 16;
inline constexpr std::size_t kPartLanes = kRegisterBytes / sizeof(float);
inline constexpr std::size_t kParts = kLanes / kPartLanes;

using Part = float __attribute__((vector_size(kRegisterBytes)));
using WidePart = double __attribute__((vector_size(kRegisterBytes)));

struct Lanes {
    Part parts[kParts];

    template <class Operation>
    Lanes& apply(const Lanes& other, Operation operation) {
        for (std::size_t i = 0; i < kParts; ++i) parts[i] = operation(parts[i], other.parts[i]);
        return *this;
    }
    Lanes& operator+=(const Lanes& other) {
        return apply(other, [](Part a, Part b) { return a + b; });
    }
    Lanes& operator-=(const Lanes& other) {
        return apply(other, [](Part a, Part b) { return a - b; });
    }
    Lanes& operator*=(const Lanes& other) {
        return apply(other, [](Part a, Part b) { return a * b; });
    }
    Lanes& operator/=(const Lanes& other) {
        return apply(other, [](Part a, Part b) { return a / b; });
    }
};

inline Lanes zero_lanes() {
    return Lanes{};
}

inline Lanes all_lanes(float value) {
    Lanes lanes;
    for (Part& part : lanes.parts) part = Part{} + value;
    return lanes;
}

inline Lanes square_of(Lanes lanes) {
    lanes *= lanes;
    return lanes;
}

inline Lanes load(const float* from) {
    Lanes lanes;
    for (std::size_t i = 0; i < kParts; ++i) std::memcpy(&lanes.parts[i], from + i * kPartLanes, kRegisterBytes);
    return lanes;
}

inline void store(float* to, const Lanes& lanes) {
    for (std::size_t i = 0; i < kParts; ++i) std::memcpy(to + i * kPartLanes, &lanes.parts[i], kRegisterBytes);
}

// fp16 and bf16 to fp32 are exact. fp32 to fp16 rounds to nearest, ties to even; magnitudes of 65520 and more become
// infinity.
#if defined(REDVILLM_LEVEL_AVX512)

// The zero-masked forms, with every lane on: the plain ones start from an undefined register, of which GCC 12 warns.
inline Part widen(const Half* from) {
    return _mm512_maskz_cvtph_ps(0xffff, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
}

inline Part widen(const BFloat16* from) {
    const __m256i halves = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
    return reinterpret_cast<Part>(_mm512_maskz_slli_epi32(0xffff, _mm512_maskz_cvtepu16_epi32(0xffff, halves), 16));
}

inline WidePart wide_low(Part part) {
    return _mm512_maskz_cvtps_pd(0xff, _mm512_maskz_extractf32x8_ps(0xff, part, 0));
}

inline WidePart wide_high(Part part) {
    return _mm512_maskz_cvtps_pd(0xff, _mm512_maskz_extractf32x8_ps(0xff, part, 1));
}

inline void narrow(Half* to, Part part) {
    const __m256i halves = _mm512_maskz_cvtps_ph(0xffff, part, _MM_FROUND_TO_NEAREST_INT);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), halves);
}

#elif defined(REDVILLM_LEVEL_AVX2)

inline Part widen(const Half* from) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
}

inline Part widen(const BFloat16* from) {
    const __m128i halves = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
    return reinterpret_cast<Part>(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16));
}

inline WidePart wide_low(Part part) {
    return _mm256_cvtps_pd(_mm256_castps256_ps128(part));
}

inline WidePart wide_high(Part part) {
    return _mm256_cvtps_pd(_mm256_extractf128_ps(part, 1));
}

inline void narrow(Half* to, Part part) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm256_cvtps_ph(part, _MM_FROUND_TO_NEAREST_INT));
}

#else

using Halves = std::uint16_t __attribute__((vector_size(kRegisterBytes / 2)));
using Bits = std::uint32_t __attribute__((vector_size(kRegisterBytes)));
using SignedBits = std::int32_t __attribute__((vector_size(kRegisterBytes)));

inline WidePart wide_pair(const char* from) {
    float __attribute__((vector_size(kRegisterBytes / 2))) pair;
    std::memcpy(&pair, from, sizeof pair);
    return __builtin_convertvector(pair, WidePart);
}

inline WidePart wide_low(Part part) {
    return wide_pair(reinterpret_cast<const char*>(&part));
}

inline WidePart wide_high(Part part) {
    return wide_pair(reinterpret_cast<const char*>(&part) + kRegisterBytes / 2);
}

inline Bits either(Bits condition, Bits yes, Bits no) {
    return (condition & yes) | (~condition & no);
}

// All ones where value >= limit. Magnitudes have no sign bit, so the signed comparison, which SSE2 has, serves.
inline Bits at_least(Bits value, std::int32_t limit) {
    return reinterpret_cast<Bits>(reinterpret_cast<SignedBits>(value) >= limit);
}

inline Part widen(const Half* from) {
    Halves halves;
    std::memcpy(&halves, from, sizeof halves);
    const Bits bits = __builtin_convertvector(halves, Bits);
    const Bits magnitude = bits & 0x7fffu;
    // Shifted into place, the exponent is short by the difference of the biases (127 - 15): one exact product repairs
    // it.
    const Part scaled = reinterpret_cast<Part>(magnitude << 13) * 0x1p112f;
    const Bits special = at_least(magnitude, 0x7c00) & 0x7f800000u;  // infinity and NaN keep the top exponent
    return reinterpret_cast<Part>(((bits & 0x8000u) << 16) | reinterpret_cast<Bits>(scaled) | special);
}

inline Part widen(const BFloat16* from) {
    Halves halves;
    std::memcpy(&halves, from, sizeof halves);
    return reinterpret_cast<Part>(__builtin_convertvector(halves, Bits) << 16);
}

inline void narrow(Half* to, Part part) {
    const Bits bits = reinterpret_cast<Bits>(part);
    const Bits magnitude = bits & 0x7fffffffu;
    // Adding 0.5 leaves a last place of 2^-24, the step of subnormal halves: the addition itself rounds.
    const Bits subnormal = reinterpret_cast<Bits>(reinterpret_cast<Part>(magnitude) + 0.5f) - 0x3f000000u;
    const Bits normal = (magnitude - (112u << 23) + 0x0fffu + ((magnitude >> 13) & 1u)) >> 13;
    Bits result = either(at_least(magnitude, 0x38800000), normal, subnormal);    // 2^-14, the smallest normal half
    result = either(at_least(magnitude, 0x477ff000), Bits{} + 0x7c00u, result);  // 65520
    result = either(at_least(magnitude, 0x7f800001), Bits{} + 0x7e00u, result);  // NaN
    const Halves halves = __builtin_convertvector(result | ((bits >> 16) & 0x8000u), Halves);
    std::memcpy(to, &halves, sizeof halves);
}

#endif

template <class Narrow>
inline Lanes load(const Narrow* from) {
    Lanes lanes;
    for (std::size_t i = 0; i < kParts; ++i) lanes.parts[i] = widen(from + i * kPartLanes);
    return lanes;
}

inline void store(Half* to, const Lanes& lanes) {
    for (std::size_t i = 0; i < kParts; ++i) narrow(to + i * kPartLanes, lanes.parts[i]);
}

// sums += now - leaving, in double precision.
inline void move_wide(double* sums, const Lanes& now, const Lanes& leaving) {
    for (std::size_t i = 0; i < kParts; ++i, sums += kPartLanes) {
        WidePart low, high;
        std::memcpy(&low, sums, sizeof low);
        std::memcpy(&high, sums + kPartLanes / 2, sizeof high);
        low += wide_low(now.parts[i]) - wide_low(leaving.parts[i]);
        high += wide_high(now.parts[i]) - wide_high(leaving.parts[i]);
        std::memcpy(sums, &low, sizeof low);
        std::memcpy(sums + kPartLanes / 2, &high, sizeof high);
    }
}

// Adds the lanes in one fixed order, the same at every level.
inline float sum_of(const Lanes& lanes) {
    float values[kLanes];
    store(values, lanes);
    for (std::size_t half = kLanes / 2; half > 0; half /= 2)
        for (std::size_t lane = 0; lane < half; ++lane) values[lane] += values[lane + half];
    return values[0];
}

}  // namespace REDVILLM_LEVEL
}  // namespace redvillm
