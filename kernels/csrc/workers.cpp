#include "workers.h"

#include <pthread.h>
#include <signal.h>

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>

namespace redvillm {

struct Worker {
    std::mutex mutex;
    std::condition_variable changed;
    void (*function)(const void* context, std::size_t part) = nullptr;  // set: there is work
    const void* context = nullptr;
    std::size_t part = 0;
    std::unique_ptr<float[]> scratch;
    std::size_t scratch_size = 0;
    Worker* next_idle = nullptr;

    [[noreturn]] void work() {
        std::unique_lock<std::mutex> lock(mutex);
        for (;;) {
            changed.wait(lock, [this] { return function != nullptr; });
            lock.unlock();
            function(context, part);
            lock.lock();
            function = nullptr;
            changed.notify_all();
        }
    }

    void start(void (*new_function)(const void*, std::size_t), const void* new_context, std::size_t new_part) {
        {
            const std::lock_guard<std::mutex> lock(mutex);
            context = new_context;
            part = new_part;
            function = new_function;
        }
        changed.notify_all();
    }

    void wait() {
        std::unique_lock<std::mutex> lock(mutex);
        changed.wait(lock, [this] { return function == nullptr; });
    }
};

namespace {

struct IdleWorkers {
    std::mutex mutex;
    Worker* first = nullptr;
};

// Never deleted: at exit, workers are parked on what it leads to.
std::atomic<IdleWorkers*> idle_workers{nullptr};

// The child of a fork has no workers, and the locks it inherits may be held by threads that it does not have.
const int handler_is_set = pthread_atfork(nullptr, nullptr, [] { idle_workers.store(nullptr); });

IdleWorkers& idle() {
    IdleWorkers* known = idle_workers.load(std::memory_order_acquire);
    if (known) return *known;
    auto fresh = std::make_unique<IdleWorkers>();
    if (idle_workers.compare_exchange_strong(known, fresh.get())) return *fresh.release();
    return *known;
}

// Signals are for the threads of the program.
Worker* start_worker() {
    auto worker = std::make_unique<Worker>();
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    try {
        std::thread(&Worker::work, worker.get()).detach();
    } catch (...) {
        pthread_sigmask(SIG_SETMASK, &before, nullptr);
        throw;
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return worker.release();
}

}  // namespace

Crew::Crew(std::size_t num_workers) {
    if (handler_is_set != 0) throw std::system_error(handler_is_set, std::generic_category(), "pthread_atfork");
    {
        IdleWorkers& known = idle();
        const std::lock_guard<std::mutex> lock(known.mutex);
        for (; num_workers_ < num_workers && known.first; ++num_workers_) {
            workers_[num_workers_] = known.first;
            known.first = known.first->next_idle;
        }
    }
    try {
        for (; num_workers_ < num_workers; ++num_workers_) workers_[num_workers_] = start_worker();
    } catch (...) {
        give_back();
        throw;
    }
}

Crew::~Crew() {
    give_back();
}

float* Crew::scratch(std::size_t index, std::size_t size) {
    Worker& worker = *workers_[index];
    if (worker.scratch_size < size) {
        worker.scratch_size = 0;
        worker.scratch.reset();
        worker.scratch.reset(new float[size]);
        worker.scratch_size = size;
    }
    return worker.scratch.get();
}

void Crew::run_parts(Function function, const void* context) {
    for (std::size_t i = 0; i < num_workers_; ++i) workers_[i]->start(function, context, i + 1);
    function(context, 0);
    for (std::size_t i = 0; i < num_workers_; ++i) workers_[i]->wait();
}

void Crew::give_back() noexcept {
    IdleWorkers& known = idle();
    const std::lock_guard<std::mutex> lock(known.mutex);
    for (std::size_t i = 0; i < num_workers_; ++i) {
        workers_[i]->next_idle = known.first;
        known.first = workers_[i];
    }
}

}  // namespace redvillm
