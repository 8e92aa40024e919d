// redvillm.kernels._decoder: the decoder's kernels for numpy arrays, at any level and with any number of threads.
// Checks shapes and releases the GIL; computes nothing.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <atomic>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "block_linear.h"
#include "cached_attention.h"

namespace nb = nanobind;

template <>
struct nanobind::detail::dtype_traits<redvillm::Half> {
    static constexpr dlpack::dtype value{static_cast<std::uint8_t>(dlpack::dtype_code::Float), 16, 1};
    static constexpr auto name = const_name("float16");
};

namespace {

using redvillm::DecoderKernels;
using redvillm::Half;

template <class Element, std::size_t kDimensions>
using Array = nb::ndarray<Element, nb::ndim<kDimensions>, nb::c_contig, nb::device::cpu>;
using Level = std::optional<std::string>;

void require(bool condition, const char* message) {
    if (!condition) throw nb::value_error(message);
}

const DecoderKernels& kernels_at(const Level& level) {
    std::string legal;
    for (const DecoderKernels* kernels : redvillm::supported_decoder_kernels()) {
        if (!level || *level == kernels->level) return *kernels;
        legal += std::string(legal.empty() ? "" : ", ") + kernels->level;
    }
    throw nb::value_error(("level '" + *level + "' is not supported by this processor; legal are " + legal).c_str());
}

std::vector<std::string> supported_levels() {
    std::vector<std::string> levels;
    for (const DecoderKernels* kernels : redvillm::supported_decoder_kernels()) levels.emplace_back(kernels->level);
    return levels;
}

// Starts its threads for every loop: for tests, not for speed.
class Threads : public redvillm::ParallelLoop {
  public:
    explicit Threads(std::size_t count) : count_(count) {}

    void run(std::size_t count, void (*body)(void*, std::size_t), void* data) const override {
        std::atomic<std::size_t> next{0};
        const auto work = [&] {
            for (std::size_t i = next++; i < count; i = next++) body(data, i);
        };
        std::vector<std::thread> others;
        for (std::size_t i = 1; i < count_; ++i) others.emplace_back(work);
        work();
        for (std::thread& other : others) other.join();
    }

  private:
    std::size_t count_;
};

struct FreeMemory {
    void operator()(void* memory) const { std::free(memory); }
};

std::unique_ptr<void, FreeMemory> scratch_of(std::size_t bytes) {
    return std::unique_ptr<void, FreeMemory>(std::aligned_alloc(64, (bytes / 64 + 1) * 64));
}

void block_linear(Array<const float, 2> x, Array<const std::uint8_t, 5> codes, Array<const Half, 3> scales,
                  std::optional<Array<const Half, 3>> minimums, std::optional<Array<const float, 1>> norm_weight,
                  float epsilon, std::optional<Array<const float, 2>> residual, Array<float, 2> out, bool silu_gate,
                  const Level& level, std::size_t threads) {
    const std::size_t num_outputs = out.shape(1) * (silu_gate ? 2 : 1), num_inputs = x.shape(1);
    const auto bits = static_cast<unsigned>(codes.shape(2));
    require(bits == 4 || bits == 8, "codes must be [tiles, blocks, 4 or 8, 16, 4]");
    require(codes.shape(0) == (num_outputs + 15) / 16 && codes.shape(1) * 32 == num_inputs && num_inputs > 0 &&
                codes.shape(3) == 16 && codes.shape(4) == 4,
            "codes, x and out do not fit together");
    const auto per_block = [&](const Array<const Half, 3>& values) {
        return values.shape(0) == codes.shape(0) && values.shape(1) == codes.shape(1) && values.shape(2) == 16;
    };
    require(per_block(scales) && (!minimums || per_block(*minimums)),
            "scales and minimums must be [tiles, blocks, 16]");
    require(!norm_weight || norm_weight->shape(0) == num_inputs, "norm_weight must be [K]");
    require(!silu_gate || num_outputs % 32 == 0, "with a gate, rows must be a multiple of 32");
    require(out.shape(0) == x.shape(0), "out must have the tokens of x");
    require(!residual || (residual->shape(0) == out.shape(0) && residual->shape(1) == out.shape(1)),
            "residual must be of the shape of out");
    require(threads >= 1, "threads must be 1 or more");
    const DecoderKernels& kernels = kernels_at(level);
    const redvillm::BlockMatrix matrix{codes.data(), scales.data(), minimums ? minimums->data() : nullptr,
                                       num_outputs,  num_inputs,    bits};
    const redvillm::RootMeanSquareNorm norm{norm_weight ? norm_weight->data() : nullptr, epsilon};
    const redvillm::LinearOutput output{out.data(), residual ? residual->data() : nullptr, silu_gate};
    const nb::gil_scoped_release release;
    const auto scratch = scratch_of(redvillm::block_linear_scratch_bytes(x.shape(0), num_inputs));
    redvillm::block_linear(kernels, Threads(threads), x.data(), x.shape(0), norm, matrix, output, scratch.get());
}

void cached_attention(Array<const float, 2> packed, Array<Half, 3> keys, Array<Half, 3> values,
                      Array<const float, 2> cosines, Array<const float, 2> sines, std::size_t num_past,
                      Array<float, 2> out, const Level& level, std::size_t threads) {
    const std::size_t num_kv_heads = keys.shape(0), positions = keys.shape(1), width = keys.shape(2);
    require(width >= 16 && width <= 256 && width % 16 == 0, "head_width must be a multiple of 16, at most 256");
    require(values.shape(0) == num_kv_heads && values.shape(1) == positions && values.shape(2) == width,
            "keys and values must be of one shape");
    const std::size_t num_tokens = packed.shape(0), num_heads = out.shape(1) / width;
    require(num_kv_heads > 0 && num_heads > 0 && out.shape(1) % width == 0 && num_heads % num_kv_heads == 0 &&
                packed.shape(1) == (num_heads + 2 * num_kv_heads) * width && out.shape(0) == num_tokens,
            "packed, out and the cache do not fit together");
    require(num_tokens > 0 && num_past + num_tokens <= positions, "the cache is too short");
    require(cosines.shape(0) >= num_past + num_tokens && cosines.shape(1) * 2 == width &&
                sines.shape(0) == cosines.shape(0) && sines.shape(1) == cosines.shape(1),
            "cosines and sines must be [positions, head_width / 2]");
    require(threads >= 1, "threads must be 1 or more");
    const DecoderKernels& kernels = kernels_at(level);
    const redvillm::AttentionShape shape{num_tokens, num_past, num_heads, num_kv_heads, width, positions};
    const nb::gil_scoped_release release;
    const auto scratch = scratch_of(redvillm::cached_attention_scratch_bytes(shape));
    redvillm::cached_attention(kernels, Threads(threads), packed.data(), {cosines.data(), sines.data()}, shape,
                               {keys.data(), values.data()}, out.data(), scratch.get());
}

}  // namespace

NB_MODULE(_decoder, module) {
    module.def("supported_levels", supported_levels);
    module.def("block_linear", block_linear, nb::arg("x").noconvert(), nb::arg("codes").noconvert(),
               nb::arg("scales").noconvert(), nb::arg("minimums").noconvert().none(),
               nb::arg("norm_weight").noconvert().none(), nb::arg("epsilon"), nb::arg("residual").noconvert().none(),
               nb::arg("out").noconvert(), nb::arg("silu_gate"), nb::arg("level").none(), nb::arg("threads"));
    module.def("cached_attention", cached_attention, nb::arg("packed").noconvert(), nb::arg("keys").noconvert(),
               nb::arg("values").noconvert(), nb::arg("cosines").noconvert(), nb::arg("sines").noconvert(),
               nb::arg("num_past"), nb::arg("out").noconvert(), nb::arg("level").none(), nb::arg("threads"));
}
