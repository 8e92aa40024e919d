// Fibers, their scheduler, barriers and shuffles.

#include "simt.h"

#include <ucontext.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "memory.h"

#if defined(__SANITIZE_ADDRESS__)
    #include <sanitizer/asan_interface.h>
    #include <sanitizer/common_interface_defs.h>
#endif

namespace redvillm {
namespace cuda {
alignas(16) float shared_floats[simt::kSharedBytes / sizeof(float)];
}  // namespace cuda
}  // namespace redvillm

namespace simt {

Indices indices;

namespace {

constexpr std::size_t kStackBytes = 64 * 1024;
constexpr std::size_t kMaxFaults = 8;

enum class State { kReady, kAtBlock, kAtWarp, kDone };

struct Fiber {
    ucontext_t context;
    std::unique_ptr<char[]> stack;
    State state = State::kDone;
    Size index;
    std::string place;  // where it waits
    float given = 0.0f, taken = 0.0f;
    unsigned mask = 0;
    int offset = 0;
    void* fake_stack = nullptr;
};

struct Machine {
    ucontext_t scheduler;
    void* scheduler_fake_stack = nullptr;
    const void* scheduler_stack = nullptr;
    std::size_t scheduler_stack_bytes = 0;
    std::vector<Fiber> fibers;
    Fiber* running = nullptr;
    unsigned num_threads = 0, block_number = 0;
    const std::function<void()>* body = nullptr;
    bool backwards = false;
    std::vector<std::string> faults;
    std::string fault_text;
};

Machine& machine() {
    static Machine instance;
    return instance;
}

void before_switch(void** save, const void* stack, std::size_t bytes) {
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_start_switch_fiber(save, stack, bytes);
#else
    (void)save, (void)stack, (void)bytes;
#endif
}

void after_switch(void* save, const void** stack, std::size_t* bytes) {
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(save, stack, bytes);
#else
    (void)save, (void)stack, (void)bytes;
#endif
}

void resume(Fiber& fiber) {
    Machine& m = machine();
    m.running = &fiber;
    indices.thread = fiber.index;
    before_switch(&m.scheduler_fake_stack, fiber.stack.get(), kStackBytes);
    swapcontext(&m.scheduler, &fiber.context);
    after_switch(m.scheduler_fake_stack, nullptr, nullptr);
    m.running = nullptr;
}

void suspend(State state) {
    Machine& m = machine();
    Fiber& fiber = *m.running;
    fiber.state = state;
    before_switch(state == State::kDone ? nullptr : &fiber.fake_stack, m.scheduler_stack, m.scheduler_stack_bytes);
    swapcontext(&fiber.context, &m.scheduler);
    after_switch(fiber.fake_stack, &m.scheduler_stack, &m.scheduler_stack_bytes);
}

void fiber_main() {
    Machine& m = machine();
    after_switch(nullptr, &m.scheduler_stack, &m.scheduler_stack_bytes);
    (*m.body)();
    suspend(State::kDone);
}

void start(Fiber& fiber, unsigned thread) {
    if (!fiber.stack) fiber.stack.reset(new char[kStackBytes]);
#if defined(__SANITIZE_ADDRESS__)
    __asan_unpoison_memory_region(fiber.stack.get(), kStackBytes);  // an abandoned block may have left traces
#endif
    const Size& size = indices.block_size;
    fiber.index = Size(thread % size.x, thread / size.x % size.y, thread / size.x / size.y);
    fiber.state = State::kReady;
    fiber.fake_stack = nullptr;
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack.get();
    fiber.context.uc_stack.ss_size = kStackBytes;
    fiber.context.uc_link = nullptr;
    makecontext(&fiber.context, fiber_main, 0);
}

unsigned number_of(const Fiber& fiber) {
    const Machine& m = machine();
    return m.block_number * kMaxThreads + static_cast<unsigned>(&fiber - m.fibers.data()) + 1;
}

std::string describe(const Fiber& fiber) {
    const std::string name = name_of_thread(number_of(fiber));
    if (fiber.state == State::kDone) return name + " has ended";
    return name + (fiber.state == State::kAtWarp ? " is at the shuffle of " : " is at the barrier of ") + fiber.place;
}

// Lets the lanes of a warp exchange their values if all of them wait for it. Returns whether they went on.
bool release_warp(unsigned first) {
    Machine& m = machine();
    Fiber* lanes = &m.fibers[first];
    const Fiber* waiting = nullptr;
    for (unsigned lane = 0; lane < kWarp; ++lane)
        if (lanes[lane].state == State::kAtWarp) waiting = &lanes[lane];
    if (!waiting) return false;
    for (unsigned lane = 0; lane < kWarp; ++lane) {
        const Fiber& other = lanes[lane];
        const bool agrees = other.state == State::kAtWarp && other.place == waiting->place &&
                            other.offset == waiting->offset && other.mask == 0xffffffffu;
        if (agrees) continue;
        add_fault("a warp diverges: " + describe(*waiting) + ", " + describe(other));
        return false;
    }
    for (unsigned lane = 0; lane < kWarp; ++lane) {
        lanes[lane].taken = lanes[lane ^ static_cast<unsigned>(waiting->offset)].given;
        lanes[lane].state = State::kReady;
    }
    return true;
}

bool release_block() {
    Machine& m = machine();
    const Fiber& first = m.fibers[0];
    for (unsigned i = 1; i < m.num_threads; ++i) {
        const Fiber& other = m.fibers[i];
        if (other.state == first.state && (first.state == State::kDone || other.place == first.place)) continue;
        add_fault("a block diverges: " + describe(first) + ", " + describe(other));
        return false;
    }
    if (first.state == State::kDone) return false;
    for (unsigned i = 0; i < m.num_threads; ++i) m.fibers[i].state = State::kReady;
    memory_barrier();
    return true;
}

void run_block() {
    Machine& m = machine();
    for (unsigned i = 0; i < m.num_threads; ++i) start(m.fibers[i], i);
    for (bool goes_on = true; goes_on && m.faults.empty();) {
        for (unsigned i = 0; i < m.num_threads; ++i) {
            Fiber& fiber = m.fibers[m.backwards ? m.num_threads - 1 - i : i];
            if (fiber.state == State::kReady) resume(fiber);
        }
        goes_on = false;
        for (unsigned first = 0; first < m.num_threads; first += kWarp) goes_on |= release_warp(first);
        if (!goes_on && m.faults.empty()) goes_on = release_block();
    }
}

std::string place_of(const char* file, int line) {
    const std::string path = file;
    return path.substr(path.rfind('/') + 1) + ":" + std::to_string(line);
}

}  // namespace

void wait_for_block(const char* file, int line) {
    machine().running->place = place_of(file, line);
    suspend(State::kAtBlock);
}

float exchange(unsigned mask, float value, int offset, const char* file, int line) {
    Fiber& fiber = *machine().running;
    fiber.place = place_of(file, line);
    fiber.given = value;
    fiber.mask = mask;
    fiber.offset = offset;
    suspend(State::kAtWarp);
    return fiber.taken;
}

bool is_legal(const Size& grid, const Size& block, std::size_t shared_bytes) {
    const unsigned long long threads = 1ull * block.x * block.y * block.z;
    return grid.x && grid.y && grid.z && grid.x <= 0x7fffffffu && grid.y <= 65535 && grid.z <= 65535 && threads &&
           threads <= kMaxThreads && shared_bytes <= kSharedBytes;
}

bool run(const Size& grid, const Size& block, std::size_t shared_bytes, const std::function<void()>& body) {
    Machine& m = machine();
    m.faults.clear();
    indices.block_size = block;
    indices.grid_size = grid;
    m.num_threads = block.x * block.y * block.z;
    m.body = &body;
    if (m.num_threads % kWarp) add_fault("the emulator runs whole warps only");
    if (m.fibers.size() < kMaxThreads) m.fibers = std::vector<Fiber>(kMaxThreads);
    memory_launch(redvillm::cuda::shared_floats, shared_bytes);
    const unsigned num_blocks = grid.x * grid.y * grid.z;
    for (m.block_number = 0; m.block_number < num_blocks && m.faults.empty(); ++m.block_number) {
        const unsigned b = m.block_number;
        indices.block = Size(b % grid.x, b / grid.x % grid.y, b / grid.x / grid.y);
        memory_block();
        run_block();
    }
    return m.faults.empty();
}

const char* faults() {
    Machine& m = machine();
    m.fault_text.clear();
    for (const std::string& fault : m.faults) m.fault_text += (m.fault_text.empty() ? "" : "; ") + fault;
    return m.fault_text.c_str();
}

void add_fault(const std::string& text) {
    if (machine().faults.size() < kMaxFaults) machine().faults.push_back(text);
}

unsigned running_thread() {
    return machine().running ? number_of(*machine().running) : 0;
}

std::string name_of_thread(unsigned number) {
    return "thread " + std::to_string((number - 1) % kMaxThreads) + " of block " +
           std::to_string((number - 1) / kMaxThreads);
}

}  // namespace simt

extern "C" __attribute__((visibility("default"))) void simt_reverse_threads(int backwards) {
    simt::machine().backwards = backwards != 0;
}
