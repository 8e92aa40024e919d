// Sixteen-bit floating point numbers as storage; the conversions of each CPU level are in lanes.h.
#pragma once

#include <cstdint>

namespace redvillm {

// IEEE 754 half precision.
struct Half {
    std::uint16_t bits;
};

// The upper half of an fp32 number.
struct BFloat16 {
    std::uint16_t bits;
};

}  // namespace redvillm
