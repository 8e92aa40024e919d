// The yardstick of the pooling kernels: reading memory and doing as little with it as possible. Included once per
// level; no include guard: see level.h.

namespace redvillm {
namespace REDVILLM_LEVEL {

// Eight sums, so that no addition waits for the one before; every line is asked for 1 KiB before it is used.
template <std::size_t kStreams>
inline float read_streams(const float* from, std::size_t size) {
    constexpr std::size_t kSums = 8, kSumsPerStream = kSums / kStreams, kStep = kSumsPerStream * kLanes;
    Lanes sums[kSums];
    for (Lanes& sum : sums) sum = zero_lanes();
    const std::size_t quarter = size / kStreams / kStep * kStep;
    for (std::size_t at = 0; at < quarter; at += kStep)
        for (std::size_t stream = 0; stream < kStreams; ++stream)
            for (std::size_t i = 0; i < kSumsPerStream; ++i) {
                const float* line = from + stream * quarter + at + i * kLanes;
                __builtin_prefetch(line + 1024 / sizeof(float));
                sums[stream * kSumsPerStream + i] += load(line);
            }
    for (std::size_t i = 1; i < kSums; ++i) sums[0] += sums[i];
    float total = sum_of(sums[0]);
    for (std::size_t i = quarter * kStreams; i < size; ++i) total += from[i];
    return total;
}

inline float read(const float* from, std::size_t size, std::size_t num_streams) {
    return num_streams == 1 ? read_streams<1>(from, size) : read_streams<4>(from, size);
}

}  // namespace REDVILLM_LEVEL
}  // namespace redvillm
