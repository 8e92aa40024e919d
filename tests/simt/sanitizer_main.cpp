// Runs the kernels with every buffer in an allocation of its own, exactly as large as it has to be.
//
//     simt_sanitized ELEMENT T N D WEIGHTED ...      ELEMENT 0: float32, 1: float16; any number of groups of five

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "cuda_fp16.h"
#include "launcher.h"

namespace {

struct Case {
    int element;
    std::int64_t num_frames, num_patches, width;
    bool weighted;

    std::size_t element_bytes() const { return element == REDVILLM_FLOAT32 ? 4 : 2; }
};

// An allocation of exactly so many bytes; elements are 1.0, or NaN if nothing may be left as it is.
class Buffer {
  public:
    Buffer(std::int64_t count, std::size_t element_bytes, bool is_output)
        : count_(static_cast<std::size_t>(count)),
          element_bytes_(element_bytes),
          data_(std::malloc(count_ * element_bytes)) {
        for (std::size_t i = 0; i < count_; ++i) {
            if (element_bytes == 4) static_cast<float*>(data_)[i] = is_output ? NAN : 1.0f;
            if (element_bytes == 2) static_cast<__half*>(data_)[i].bits = is_output ? 0x7e00 : 0x3c00;
            if (element_bytes == 8) static_cast<std::int64_t*>(data_)[i] = 0;
        }
    }
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;
    ~Buffer() { std::free(data_); }

    void* data() const { return data_; }
    bool holds(float value) const {
        for (std::size_t i = 0; i < count_; ++i) {
            const float found =
                element_bytes_ == 4 ? static_cast<float*>(data_)[i] : __half2float(static_cast<__half*>(data_)[i]);
            if (!(std::fabs(found - value) < 1e-3f)) return false;
        }
        return true;
    }

  private:
    std::size_t count_, element_bytes_;
    void* data_;
};

bool pool_is_right(const Case& c) {
    const Buffer x(c.num_frames * c.num_patches * c.width, c.element_bytes(), false);
    const Buffer weights(c.num_frames, 4, false);
    const Buffer temporal(c.num_patches * c.width, c.element_bytes(), true);
    const Buffer spatial(c.num_frames * c.width, c.element_bytes(), true);
    const int status = redvillm_cuda_pool(x.data(), c.element, c.num_frames, c.num_patches, c.width,
                                          c.weighted ? static_cast<float*>(weights.data()) : nullptr, temporal.data(),
                                          spatial.data(), nullptr);
    if (status) std::fprintf(stderr, "pool: %s\n", redvillm_cuda_error_text(status));
    return status == 0 && temporal.holds(1.0f) && spatial.holds(1.0f);
}

bool push_is_right(const Case& c) {
    const std::int64_t frame_size = c.num_patches * c.width;
    const Buffer frame(frame_size, c.element_bytes(), false);
    const Buffer slot(frame_size, 2, true), oldest(frame_size, 2, false), previous(frame_size, 2, false);
    const Buffer sums(frame_size, 8, false), temporal(frame_size, 4, true);
    const Buffer spatial(c.width, 4, true), energy(c.num_patches, 4, true);
    RedvillmCudaWindow window = {slot.data(),
                                 c.weighted ? oldest.data() : nullptr,
                                 c.weighted ? previous.data() : nullptr,
                                 static_cast<std::int64_t*>(sums.data()),
                                 static_cast<float*>(temporal.data()),
                                 static_cast<float*>(spatial.data()),
                                 static_cast<float*>(energy.data()),
                                 1};
    const int status = redvillm_cuda_push(frame.data(), c.element, c.num_patches, c.width, &window, nullptr);
    if (status) std::fprintf(stderr, "push: %s\n", redvillm_cuda_error_text(status));
    return status == 0 && slot.holds(1.0f) && temporal.holds(c.weighted ? 0.0f : 1.0f) && spatial.holds(1.0f) &&
           energy.holds(0.0f);
}

}  // namespace

int main(int num_words, char** words) {
    for (int i = 1; i + 4 < num_words; i += 5) {
        const Case c{std::atoi(words[i]), std::atoll(words[i + 1]), std::atoll(words[i + 2]), std::atoll(words[i + 3]),
                     std::atoi(words[i + 4]) != 0};
        if (pool_is_right(c) && push_is_right(c)) continue;
        std::fprintf(stderr, "wrong: %s %s %s %s %s\n", words[i], words[i + 1], words[i + 2], words[i + 3],
                     words[i + 4]);
        return 1;
    }
    return 0;
}
