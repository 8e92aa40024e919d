// Records every access of the kernels to shared memory and to the buffers of the fake driver.
//
// The kernels are compiled with -fsanitize=thread, which makes the compiler call a function before each access; instead
// of the sanitizer's library, this file defines those functions. Faults:
//     shared memory   read before it was written; beyond the size of the launch; written by one thread and touched by
//     another
//                     with no barrier of the block between (a shuffle does not count as one)
//     buffers         touched just outside; written by one thread and touched by another in the same launch

#include "memory_tracker.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "memory.h"
#include "simt.h"

namespace simt {
namespace {

constexpr unsigned kMany = 0xffffffffu;

// Who touched a byte, and during which barrier interval; thread 0 is nobody.
struct Cell {
    unsigned writer = 0, reader = 0, write_interval = 0, read_interval = 0, num_reads = 0, num_writes = 0;
};

struct Buffer {
    char* begin;
    std::size_t bytes;
    std::vector<Cell> cells;
};

struct Memory {
    char* shared = nullptr;
    std::size_t shared_bytes = 0;
    std::vector<Cell> shared_cells;
    unsigned interval = 1;
    std::vector<Buffer> buffers;
};

Memory& memory() {
    static Memory instance;
    return instance;
}

std::string at(const char* what, std::size_t offset) {
    return std::string(what) + ", byte " + std::to_string(offset) + ": " + name_of_thread(running_thread());
}

void touch(Cell& cell, bool is_write, const char* what, std::size_t offset, unsigned interval) {
    const unsigned thread = running_thread();
    const bool other_wrote = cell.writer && cell.writer != thread && cell.write_interval == interval;
    const bool other_read = cell.reader && cell.reader != thread && cell.read_interval == interval;
    if (other_wrote)
        add_fault(at(what, offset) + (is_write ? " writes" : " reads") + " what " + name_of_thread(cell.writer) +
                  " wrote without a barrier between");
    if (is_write && other_read)
        add_fault(at(what, offset) + " writes what another thread reads without a barrier between");
    if (is_write) {
        cell.writer = thread;
        cell.write_interval = interval;
        ++cell.num_writes;
    } else {
        cell.reader = other_read ? kMany : thread;
        cell.read_interval = interval;
        ++cell.num_reads;
    }
}

void touch_shared(std::size_t offset, std::size_t bytes, bool is_write) {
    Memory& m = memory();
    if (offset + bytes > m.shared_bytes)
        return add_fault(at("shared memory", offset) + " is beyond the size of the launch");
    for (std::size_t i = offset; i < offset + bytes; ++i) {
        if (!is_write && !m.shared_cells[i].writer)
            return add_fault(at("shared memory", i) + " reads what nobody wrote");
        touch(m.shared_cells[i], is_write, "shared memory", i, m.interval);
    }
}

void touch_buffer(Buffer& buffer, const char* from, std::size_t bytes, bool is_write) {
    if (from < buffer.begin || from + bytes > buffer.begin + buffer.bytes)
        return add_fault(name_of_thread(running_thread()) + (is_write ? " writes" : " reads") +
                         " outside a buffer of " + std::to_string(buffer.bytes) + " bytes, at byte " +
                         std::to_string(from - buffer.begin));
    const std::size_t offset = static_cast<std::size_t>(from - buffer.begin);
    for (std::size_t i = offset; i < offset + bytes; ++i) touch(buffer.cells[i], is_write, "a buffer", i, 0);
}

}  // namespace

void memory_launch(void* shared, std::size_t shared_bytes) {
    Memory& m = memory();
    m.shared = static_cast<char*>(shared);
    m.shared_bytes = shared_bytes;
    for (Buffer& buffer : m.buffers) std::fill(buffer.cells.begin(), buffer.cells.end(), Cell());
}

void memory_block() {
    memory().shared_cells.assign(memory().shared_bytes, Cell());
}

void memory_barrier() {
    ++memory().interval;
}

void watch_buffer(char* begin, std::size_t bytes) {
    memory().buffers.push_back({begin, bytes, std::vector<Cell>(bytes)});
}

void forget_buffer(const char* begin) {
    auto& buffers = memory().buffers;
    buffers.erase(std::remove_if(buffers.begin(), buffers.end(), [&](const Buffer& b) { return b.begin == begin; }),
                  buffers.end());
}

void touch_memory(const void* address, std::size_t bytes, bool is_write) {
    if (!running_thread()) return;
    Memory& m = memory();
    const char* from = static_cast<const char*>(address);
    if (from >= m.shared && from < m.shared + kSharedBytes)
        return touch_shared(static_cast<std::size_t>(from - m.shared), bytes, is_write);
    for (Buffer& buffer : m.buffers)
        if (from >= buffer.begin - kGuardBytes && from < buffer.begin + buffer.bytes + kGuardBytes)
            return touch_buffer(buffer, from, bytes, is_write);
}

}  // namespace simt

// The lowest and highest number of times that a byte of a buffer was read and written in the last launch.
extern "C" __attribute__((visibility("default"))) int simt_touches(const char* begin, unsigned long long bytes,
                                                                   unsigned* four) {
    for (const simt::Buffer& buffer : simt::memory().buffers) {
        if (begin < buffer.begin || begin + bytes > buffer.begin + buffer.bytes) continue;
        const auto from = buffer.cells.begin() + (begin - buffer.begin), to = from + static_cast<std::ptrdiff_t>(bytes);
        const auto fewer_reads = [](const auto& a, const auto& b) { return a.num_reads < b.num_reads; };
        const auto fewer_writes = [](const auto& a, const auto& b) { return a.num_writes < b.num_writes; };
        const auto reads = std::minmax_element(from, to, fewer_reads);
        const auto writes = std::minmax_element(from, to, fewer_writes);
        four[0] = reads.first->num_reads, four[1] = reads.second->num_reads;
        four[2] = writes.first->num_writes, four[3] = writes.second->num_writes;
        return 0;
    }
    return 1;
}

#define SIMT_HOOKS(bytes)                               \
    void __tsan_read##bytes(void* address) {            \
        simt::touch_memory(address, bytes, false);      \
    }                                                   \
    void __tsan_write##bytes(void* address) {           \
        simt::touch_memory(address, bytes, true);       \
    }                                                   \
    void __tsan_unaligned_read##bytes(void* address) {  \
        simt::touch_memory(address, bytes, false);      \
    }                                                   \
    void __tsan_unaligned_write##bytes(void* address) { \
        simt::touch_memory(address, bytes, true);       \
    }

extern "C" {
void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void**, void*) {}
void __tsan_read_range(void* address, unsigned long bytes) {
    simt::touch_memory(address, bytes, false);
}
void __tsan_write_range(void* address, unsigned long bytes) {
    simt::touch_memory(address, bytes, true);
}
SIMT_HOOKS(1)
SIMT_HOOKS(2)
SIMT_HOOKS(4)
SIMT_HOOKS(8)
SIMT_HOOKS(16)
}
