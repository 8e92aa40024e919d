// Threads that wait, parked in the kernel, until a call borrows them; they never spin, so they take no time from
// others. Knows tasks; does not know what they compute. Any number of threads may borrow at once: the workers grow to
// what was ever needed at the same time. They live until the process ends, hold no lock while parked, and are made anew
// after a fork.
#pragma once

#include <array>
#include <cstddef>

namespace redvillm {

inline constexpr std::size_t kMaxThreads = 8;

struct Worker;

// The workers of one call, from construction to destruction.
class Crew {
  public:
    // Borrows num_workers workers, at most kMaxThreads - 1. Throws std::system_error if a thread cannot be started.
    explicit Crew(std::size_t num_workers);
    ~Crew();
    Crew(const Crew&) = delete;
    Crew& operator=(const Crew&) = delete;

    // Memory of worker `index`, at least `size` floats, kept for later calls. Throws std::bad_alloc. Not while it runs.
    float* scratch(std::size_t index, std::size_t size);

    // Runs task(0) in the calling thread and task(1) .. task(num_workers) in the workers; returns when all are done.
    template <class Task>
    void run(const Task& task) {
        run_parts([](const void* context, std::size_t part) { (*static_cast<const Task*>(context))(part); }, &task);
    }

  private:
    using Function = void (*)(const void* context, std::size_t part);
    void run_parts(Function function, const void* context);
    void give_back() noexcept;

    std::array<Worker*, kMaxThreads - 1> workers_{};
    std::size_t num_workers_ = 0;
};

}  // namespace redvillm
