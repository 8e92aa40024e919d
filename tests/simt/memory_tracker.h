// The buffers whose accesses are recorded.
#pragma once

#include <cstddef>

namespace simt {

constexpr std::size_t kGuardBytes = 1 << 16;  // on both sides of a buffer, where an access is a fault

void watch_buffer(char* begin, std::size_t bytes);
void forget_buffer(const char* begin);

}  // namespace simt
