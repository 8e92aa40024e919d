// Shared memory beyond what a launch asked for is poisoned; the rest is the address sanitizer's.

#include <sanitizer/asan_interface.h>

#include "memory.h"
#include "simt.h"

namespace simt {

void memory_launch(void* shared, std::size_t shared_bytes) {
    __asan_unpoison_memory_region(shared, kSharedBytes);
    __asan_poison_memory_region(static_cast<char*>(shared) + shared_bytes, kSharedBytes - shared_bytes);
}

void memory_block() {}

void memory_barrier() {}

}  // namespace simt
