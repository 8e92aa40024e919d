// From the fp32 results of a kernel to the 16 bits of an output.
#pragma once

#include <cstddef>
#include <cstdint>

namespace redvillm::ort {

// Rounds to nearest, ties to even; magnitudes of 65520 and more become infinity, NaN stays NaN.
void narrow_to_float16(const float* from, std::uint16_t* to, std::size_t count);

// Rounds to nearest, ties to even; NaN stays NaN.
void narrow_to_bfloat16(const float* from, std::uint16_t* to, std::size_t count);

}  // namespace redvillm::ort
