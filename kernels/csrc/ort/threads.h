// How many parts a clip is cut into. ONNX Runtime runs them on its own threads, but does not tell how many it has, and
// reading a clip in many narrow columns is slower than in one sweep: so the number is learned from the first clips.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <thread>

namespace redvillm::ort {

inline constexpr std::size_t kMaxParts = 16;

// What one kernel, of one session, has learned. May be asked by several threads. Wrong guesses cost time only: results
// do not depend on the parts.
class Threads {
  public:
    // The width of the parts of a clip of `width` columns and `bytes`; `width` itself if one thread does it all.
    std::size_t columns_per_part(std::size_t width, std::size_t bytes) const;

    // The threads that the parts of a clip ran on.
    void learn(const std::array<std::thread::id, kMaxParts>& ran_on, std::size_t num_parts);

  private:
    std::atomic<std::size_t> num_threads_{1};  // the most that one clip ran on
    std::atomic<int> num_clips_{0};
};

}  // namespace redvillm::ort
