// IEEE 754 half precision as storage; the conversions of each CPU level are in lanes.h.
#pragma once

#include <cstdint>

namespace redvillm {

struct Half {
    std::uint16_t bits;
};

}  // namespace redvillm
