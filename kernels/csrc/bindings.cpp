// redvillm.kernels._native: the kernels for numpy arrays. Checks shapes, releases the GIL, chooses the level; computes
// nothing.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <unistd.h>

#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "threads.h"

namespace nb = nanobind;

template <>
struct nanobind::detail::dtype_traits<redvillm::Half> {
    static constexpr dlpack::dtype value{static_cast<std::uint8_t>(dlpack::dtype_code::Float), 16, 1};
    static constexpr auto name = const_name("float16");
};

template <>
struct nanobind::detail::dtype_traits<redvillm::BFloat16> {
    static constexpr dlpack::dtype value{static_cast<std::uint8_t>(dlpack::dtype_code::Bfloat), 16, 1};
    static constexpr auto name = const_name("bfloat16");
};

namespace {

using redvillm::BFloat16;
using redvillm::ClipShape;
using redvillm::Half;
using redvillm::Kernels;

template <class Element, std::size_t kDimensions>
using Array = nb::ndarray<Element, nb::ndim<kDimensions>, nb::c_contig, nb::device::cpu>;
template <class Element, std::size_t kDimensions>
using OptionalArray = std::optional<Array<Element, kDimensions>>;
using Level = std::optional<std::string>;

// Lets other Python threads run while it lives. A daemon thread that asks for the interpreter back while that exits is
// unwound by Python below 3.14, which C++ answers with std::terminate: it waits for the end of the process instead.
class WithoutInterpreter {
  public:
    WithoutInterpreter() : state_(PyEval_SaveThread()) {}
    ~WithoutInterpreter() {
        try {
            PyEval_RestoreThread(state_);
        } catch (...) {
            for (;;) pause();
        }
    }
    WithoutInterpreter(const WithoutInterpreter&) = delete;
    WithoutInterpreter& operator=(const WithoutInterpreter&) = delete;

  private:
    PyThreadState* state_;
};

const Kernels& kernels_at(const Level& level) {
    std::string legal;
    for (const Kernels* kernels : redvillm::supported_kernels()) {
        if (!level || *level == kernels->level) return *kernels;
        legal += std::string(legal.empty() ? "" : ", ") + kernels->level;
    }
    throw nb::value_error(
        ("level '" + *level + "' is not supported by this processor; legal levels are " + legal).c_str());
}

std::vector<std::string> supported_levels() {
    std::vector<std::string> levels;
    for (const Kernels* kernels : redvillm::supported_kernels()) levels.emplace_back(kernels->level);
    return levels;
}

void require(bool condition, const char* message) {
    if (!condition) throw nb::value_error(message);
}

// How arrays of an element come from Python: numpy knows no bfloat16, so its bits come as uint16.
template <class Element>
using Stored = std::conditional_t<std::is_same_v<Element, BFloat16>, std::uint16_t, Element>;

template <class Element>
const Element* elements(const Stored<Element>* stored) {
    return reinterpret_cast<const Element*>(stored);
}

template <class ArrayType>
ClipShape clip_shape(const ArrayType& x) {
    require(x.size() > 0, "x is empty; T, N and D must be at least 1");
    return {x.shape(0), x.shape(1), x.shape(2)};
}

template <class ArrayType>
bool is_matrix(const ArrayType& array, std::size_t rows, std::size_t columns) {
    return array.shape(0) == rows && array.shape(1) == columns;
}

template <class ArrayType>
auto data_or_null(const std::optional<ArrayType>& array) {
    return array ? array->data() : nullptr;
}

void require_threads(std::size_t threads) {
    require(threads >= 1 && threads <= redvillm::kMaxThreads, "threads must be from 1 to MAX_THREADS");
}

template <class Element>
void pool(Array<const Stored<Element>, 3> x, OptionalArray<const float, 1> weights, Array<float, 2> temporal,
          Array<float, 2> spatial, const Level& level, std::size_t threads) {
    const ClipShape shape = clip_shape(x);
    require(!weights || weights->shape(0) == shape.num_frames, "weights must be [T]");
    require(is_matrix(temporal, shape.num_patches, shape.width), "temporal must be [N, D]");
    require(is_matrix(spatial, shape.num_frames, shape.width), "spatial must be [T, D]");
    require_threads(threads);
    const Kernels& kernels = kernels_at(level);
    const float* weights_data = data_or_null(weights);
    const WithoutInterpreter released;
    redvillm::pool_in_threads(kernels, elements<Element>(x.data()), shape, weights_data, temporal.data(),
                              spatial.data(), threads);
}

template <class Element>
void frame_energy(Array<const Stored<Element>, 3> x, Array<float, 2> energy, const Level& level, std::size_t threads) {
    const ClipShape shape = clip_shape(x);
    require(is_matrix(energy, shape.num_frames - 1, shape.num_patches), "energy must be [T - 1, N]");
    require_threads(threads);
    const Kernels& kernels = kernels_at(level);
    const WithoutInterpreter released;
    redvillm::energy_in_threads(kernels, elements<Element>(x.data()), shape, energy.data(), threads);
}

template <class Element>
bool push(Array<const Stored<Element>, 2> frame, Array<Half, 2> slot, OptionalArray<const Half, 2> oldest,
          OptionalArray<const Half, 2> previous, Array<double, 2> sums, Array<float, 1> spatial, Array<float, 1> energy,
          const Level& level) {
    const std::size_t num_patches = frame.shape(0), width = frame.shape(1);
    require(frame.size() > 0, "frame is empty; N and D must be at least 1");
    require(is_matrix(slot, num_patches, width), "slot must be [N, D]");
    require(!oldest || is_matrix(*oldest, num_patches, width), "oldest must be [N, D]");
    require(!previous || is_matrix(*previous, num_patches, width), "previous must be [N, D]");
    require(is_matrix(sums, num_patches, width), "sums must be [N, D]");
    require(spatial.shape(0) == width, "spatial must be [D]");
    require(energy.shape(0) == num_patches, "energy must be [N]");
    const Kernels& kernels = kernels_at(level);
    const redvillm::WindowBuffers window{slot.data(), data_or_null(oldest), data_or_null(previous),
                                         sums.data(), spatial.data(),       energy.data()};
    const WithoutInterpreter released;
    const auto push_frame = redvillm::for_element<Element>(kernels.push_f32, kernels.push_f16, kernels.push_bf16);
    return push_frame(elements<Element>(frame.data()), num_patches, width, window);
}

float read_memory(Array<const float, 1> memory, std::size_t streams, std::size_t threads) {
    require(streams == 1 || streams == 4, "streams must be 1 or 4");
    require_threads(threads);
    const WithoutInterpreter released;
    return redvillm::read_in_threads(*redvillm::supported_kernels().front(), memory.data(), memory.size(), streams,
                                     threads);
}

// The bits of bfloat16 numbers that speak DLPack, in place; the view keeps the exporter's memory alive.
using BFloat16Tensor = nb::ndarray<BFloat16, nb::ro, nb::device::cpu>;
nb::ndarray<nb::numpy, const std::uint16_t> bfloat16_bits(const BFloat16Tensor& tensor) {
    std::vector<std::size_t> shape(tensor.ndim());
    std::vector<std::int64_t> strides(tensor.ndim());
    for (std::size_t i = 0; i < tensor.ndim(); ++i) {
        shape[i] = tensor.shape(i);
        strides[i] = tensor.stride(i);
    }
    const nb::capsule owner(new BFloat16Tensor(tensor),
                            [](void* copy) noexcept { delete static_cast<BFloat16Tensor*>(copy); });
    return {tensor.data(), tensor.ndim(), shape.data(), owner, strides.data()};
}

// noconvert() everywhere: nanobind would otherwise copy an array of another dtype or layout, silently.
template <class Element>
void define(nb::module_& module) {
    module.def("pool", pool<Element>, nb::arg("x").noconvert(), nb::arg("weights").noconvert().none(),
               nb::arg("temporal").noconvert(), nb::arg("spatial").noconvert(), nb::arg("level") = nb::none(),
               nb::arg("threads") = 1);
    module.def("frame_energy", frame_energy<Element>, nb::arg("x").noconvert(), nb::arg("energy").noconvert(),
               nb::arg("level") = nb::none(), nb::arg("threads") = 1);
    module.def("push", push<Element>, nb::arg("frame").noconvert(), nb::arg("slot").noconvert(), nb::kw_only(),
               nb::arg("oldest").noconvert().none(), nb::arg("previous").noconvert().none(),
               nb::arg("sums").noconvert(), nb::arg("spatial").noconvert(), nb::arg("energy").noconvert(),
               nb::arg("level") = nb::none());
}

}  // namespace

NB_MODULE(_native, module) {
    module.doc() = "CPU kernels of redvillm; use them through redvillm.kernels, which checks arguments in words.";
    module.attr("MAX_THREADS") = redvillm::kMaxThreads;
    module.def("supported_levels", supported_levels, "CPU levels that this processor runs, fastest first.");
    module.def("bfloat16_bits", bfloat16_bits, nb::arg("tensor").noconvert());
    module.def("read_memory", read_memory, nb::arg("memory").noconvert(), nb::arg("streams"), nb::arg("threads"));
    define<float>(module);
    define<Half>(module);
    define<BFloat16>(module);
}
