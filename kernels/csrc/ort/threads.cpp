// The policy of the parts; the figures are in docs/onnxruntime-op.md.
#include "threads.h"

#include <algorithm>

namespace redvillm::ort {

namespace {

constexpr std::size_t kBytesPerPart = std::size_t{1} << 20;  // worth the waking of a thread
constexpr std::size_t kColumnsPerPart = 128;                 // a few cache lines of each row
constexpr std::size_t kColumnStep = 64;                      // parts share no cache line
constexpr int kClipsToLearnFrom = 4;                         // the first one may meet a busy machine

}  // namespace

std::size_t Threads::columns_per_part(std::size_t width, std::size_t bytes) const {
    const bool learning = num_clips_.load(std::memory_order_relaxed) < kClipsToLearnFrom;
    const std::size_t useful = learning ? kMaxParts : num_threads_.load(std::memory_order_relaxed);
    const std::size_t parts = std::min({bytes / kBytesPerPart, width / kColumnsPerPart, useful});
    if (parts < 2) return width;
    const std::size_t columns = (width + parts - 1) / parts;
    return (columns + kColumnStep - 1) / kColumnStep * kColumnStep;
}

void Threads::learn(const std::array<std::thread::id, kMaxParts>& ran_on, std::size_t num_parts) {
    auto threads = ran_on;
    const auto end = threads.begin() + static_cast<std::ptrdiff_t>(num_parts);
    std::sort(threads.begin(), end);
    const auto found = static_cast<std::size_t>(std::unique(threads.begin(), end) - threads.begin());
    std::size_t known = num_threads_.load(std::memory_order_relaxed);
    while (known < found && !num_threads_.compare_exchange_weak(known, found, std::memory_order_relaxed)) continue;
    num_clips_.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace redvillm::ort
