// The half-precision type and conversions that the kernels use, without the CUDA toolkit.
#pragma once

#include <cstdint>
#include <cstring>

struct __half {
    std::uint16_t bits;
};

inline unsigned short __half_as_ushort(__half value) {
    return value.bits;
}

inline float __half2float(__half value) {
    const std::uint32_t sign = static_cast<std::uint32_t>(value.bits & 0x8000u) << 16;
    const std::uint32_t exponent = value.bits >> 10 & 31u;
    const std::uint32_t fraction = value.bits & 0x3ffu;
    if (exponent == 0) {  // zero and subnormals: fraction * 2^-24, exact
        const float magnitude = static_cast<float>(fraction) / 16777216.0f;
        return sign ? -magnitude : magnitude;
    }
    const std::uint32_t wide = sign | (exponent == 31 ? 255u : exponent + 112u) << 23 | fraction << 13;
    float result;
    std::memcpy(&result, &wide, sizeof result);
    return result;
}

// Round to nearest, ties to even.
inline __half __float2half_rn(float value) {
    std::uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    const std::uint32_t sign = bits >> 16 & 0x8000u;
    const std::uint32_t magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) return {static_cast<std::uint16_t>(sign | 0x7e00u)};   // NaN
    if (magnitude >= 0x477ff000u) return {static_cast<std::uint16_t>(sign | 0x7c00u)};  // 65520 and more
    std::uint32_t kept, rest, half_way;
    if (magnitude >= 0x38800000u) {  // 2^-14 and more
        kept = (magnitude - 0x38000000u) >> 13;
        rest = magnitude & 0x1fffu;
        half_way = 0x1000u;
    } else {
        const std::uint32_t shift = 126u - (magnitude >> 23);  // the last place is 2^-24
        if (shift > 24u) return {static_cast<std::uint16_t>(sign)};
        const std::uint32_t fraction = (magnitude & 0x7fffffu) | 0x800000u;
        kept = fraction >> shift;
        rest = fraction & ((1u << shift) - 1u);
        half_way = 1u << (shift - 1u);
    }
    if (rest > half_way || (rest == half_way && (kept & 1u))) ++kept;
    return {static_cast<std::uint16_t>(sign | kept)};
}
