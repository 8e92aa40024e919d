// The few functions of the CUDA driver that the tests call, over the processor's memory: the tests of a device run on
// the emulator through them.

#include <chrono>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>

#include "memory_tracker.h"

#define FAKE extern "C" __attribute__((visibility("default"))) int

namespace {

using Clock = std::chrono::steady_clock;

std::map<char*, std::unique_ptr<char[]>>& allocations() {
    static std::map<char*, std::unique_ptr<char[]>> instance;
    return instance;
}

}  // namespace

FAKE cuInit(unsigned) {
    return 0;
}
FAKE cuDeviceGet(int* device, int) {
    return *device = 0;
}
FAKE cuDevicePrimaryCtxRetain(void** context, int) {
    *context = nullptr;
    return 0;
}
FAKE cuCtxSetCurrent(void*) {
    return 0;
}
FAKE cuCtxSynchronize() {
    return 0;
}

FAKE cuDeviceGetName(char* name, int bytes, int) {
    std::strncpy(name, "SIMT emulator", static_cast<std::size_t>(bytes));
    return 0;
}

FAKE cuMemAlloc_v2(std::uint64_t* address, std::size_t bytes) {
    std::unique_ptr<char[]> block(new char[bytes + 2 * simt::kGuardBytes + 256]);
    const std::uintptr_t inner = reinterpret_cast<std::uintptr_t>(block.get()) + simt::kGuardBytes;
    char* begin = reinterpret_cast<char*>((inner + 255) / 256 * 256);
    std::memset(begin, 0xff, bytes);
    simt::watch_buffer(begin, bytes);
    allocations()[begin] = std::move(block);
    *address = reinterpret_cast<std::uintptr_t>(begin);
    return 0;
}

FAKE cuMemFree_v2(std::uint64_t address) {
    char* begin = reinterpret_cast<char*>(address);
    simt::forget_buffer(begin);
    return allocations().erase(begin) ? 0 : 1;
}

FAKE cuMemcpyHtoD_v2(std::uint64_t to, const void* from, std::size_t bytes) {
    std::memcpy(reinterpret_cast<void*>(to), from, bytes);
    return 0;
}

FAKE cuMemcpyDtoH_v2(void* to, std::uint64_t from, std::size_t bytes) {
    std::memcpy(to, reinterpret_cast<const void*>(from), bytes);
    return 0;
}

FAKE cuEventCreate(void** event, unsigned) {
    *event = new Clock::time_point();
    return 0;
}

FAKE cuEventDestroy_v2(void* event) {
    delete static_cast<Clock::time_point*>(event);
    return 0;
}

FAKE cuEventRecord(void* event, void*) {
    *static_cast<Clock::time_point*>(event) = Clock::now();
    return 0;
}

FAKE cuEventSynchronize(void*) {
    return 0;
}

FAKE cuEventElapsedTime(float* milliseconds, void* begin, void* end) {
    const auto time = *static_cast<Clock::time_point*>(end) - *static_cast<Clock::time_point*>(begin);
    *milliseconds = std::chrono::duration<float, std::milli>(time).count();
    return 0;
}
