// A SIMT emulator: runs the kernels' own source on the processor, one fiber per CUDA thread, and finds what a GPU would
// let pass. Knows threads, warps, barriers and shared memory; does not know what a kernel computes, and tells nothing
// about time. One launch at a time.
//
// A fault is: threads of a block that wait at different barriers, or a barrier some of them never reach; a shuffle that
// not all lanes of a warp take part in; and what memory.h finds. Blocks run one after the other, the threads of a block
// in turn until each waits, forwards or backwards (reverse_threads).
#pragma once

#include <cstddef>
#include <functional>
#include <string>

namespace simt {

struct Size {
    unsigned x, y, z;
    constexpr Size(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};

struct Indices {
    Size thread, block, block_size, grid_size;
};

constexpr unsigned kWarp = 32;
constexpr unsigned kMaxThreads = 1024;
constexpr std::size_t kSharedBytes = 48 * 1024;

// For kernels: where the running thread stands, and what it may wait for.
extern Indices indices;
void wait_for_block(const char* file, int line);
float exchange(unsigned mask, float value, int offset, const char* file, int line);

// For launches.
bool is_legal(const Size& grid, const Size& block, std::size_t shared_bytes);
bool run(const Size& grid, const Size& block, std::size_t shared_bytes, const std::function<void()>& body);

// The faults of the last launch, in words; empty if there were none.
const char* faults();
void add_fault(const std::string& text);

// The running thread, numbered over the launch and from 1; 0 outside of a kernel.
unsigned running_thread();
std::string name_of_thread(unsigned number);

}  // namespace simt
