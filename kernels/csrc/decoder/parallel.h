// How the kernels are spread over threads: by a loop that the caller gives. Knows no thread itself.
#pragma once

#include <cstddef>
#include <type_traits>

namespace redvillm {

// Runs body(data, i) for i in 0 .. count - 1, in any order, on any threads, and returns when all are done.
class ParallelLoop {
  public:
    virtual ~ParallelLoop() = default;
    virtual void run(std::size_t count, void (*body)(void* data, std::size_t index), void* data) const = 0;
};

// The same for a lambda; one item alone runs here.
template <class Body>
void parallel_for(const ParallelLoop& loop, std::size_t count, Body&& body) {
    if (count == 1) return body(std::size_t{0});
    using Plain = std::remove_reference_t<Body>;
    loop.run(count, [](void* data, std::size_t index) { (*static_cast<Plain*>(data))(index); }, &body);
}

}  // namespace redvillm
