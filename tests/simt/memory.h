// Watches the memory of a launch. With memory_sanitizer.cpp the compiler's address sanitizer does; with
// memory_tracker.cpp every access of the kernels is recorded.
#pragma once

#include <cstddef>

namespace simt {

void memory_launch(void* shared, std::size_t shared_bytes);  // a launch begins
void memory_block();                                         // a block begins: its shared memory holds nothing yet
void memory_barrier();                                       // all threads of the block met at a barrier

}  // namespace simt
