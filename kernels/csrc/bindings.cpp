// redvillm.kernels._native: the kernels for numpy arrays. Checks shapes, releases the GIL, chooses the level; computes
// nothing.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "kernels.h"

namespace nb = nanobind;

template <>
struct nanobind::detail::dtype_traits<redvillm::Half> {
    static constexpr dlpack::dtype value{static_cast<std::uint8_t>(dlpack::dtype_code::Float), 16, 1};
    static constexpr auto name = const_name("float16");
};

namespace {

using redvillm::ClipShape;
using redvillm::Half;
using redvillm::Kernels;

template <class Element, std::size_t kDimensions>
using Array = nb::ndarray<Element, nb::ndim<kDimensions>, nb::c_contig, nb::device::cpu>;
template <class Element, std::size_t kDimensions>
using OptionalArray = std::optional<Array<Element, kDimensions>>;
using Level = std::optional<std::string>;

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

template <class Element>
ClipShape clip_shape(const Array<const Element, 3>& x) {
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

template <class Element>
void pool(Array<const Element, 3> x, OptionalArray<const float, 1> weights, Array<float, 2> temporal,
          Array<float, 2> spatial, const Level& level) {
    const ClipShape shape = clip_shape<Element>(x);
    require(!weights || weights->shape(0) == shape.num_frames, "weights must be [T]");
    require(is_matrix(temporal, shape.num_patches, shape.width), "temporal must be [N, D]");
    require(is_matrix(spatial, shape.num_frames, shape.width), "spatial must be [T, D]");
    const Kernels& kernels = kernels_at(level);
    const float* weights_data = data_or_null(weights);
    const nb::gil_scoped_release release;
    if constexpr (std::is_same_v<Element, Half>)
        kernels.pool_f16(x.data(), shape, {0, shape.width}, weights_data, temporal.data(), spatial.data());
    else
        kernels.pool_f32(x.data(), shape, {0, shape.width}, weights_data, temporal.data(), spatial.data());
}

template <class Element>
void frame_energy(Array<const Element, 3> x, Array<float, 2> energy, const Level& level) {
    const ClipShape shape = clip_shape<Element>(x);
    require(is_matrix(energy, shape.num_frames - 1, shape.num_patches), "energy must be [T - 1, N]");
    const Kernels& kernels = kernels_at(level);
    const nb::gil_scoped_release release;
    if constexpr (std::is_same_v<Element, Half>)
        kernels.energy_f16(x.data(), shape, energy.data());
    else
        kernels.energy_f32(x.data(), shape, energy.data());
}

template <class Element>
bool push(Array<const Element, 2> frame, Array<Half, 2> slot, OptionalArray<const Half, 2> oldest,
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
    const nb::gil_scoped_release release;
    if constexpr (std::is_same_v<Element, Half>)
        return kernels.push_f16(frame.data(), num_patches, width, window);
    else
        return kernels.push_f32(frame.data(), num_patches, width, window);
}

// noconvert() everywhere: nanobind would otherwise copy an array of another dtype or layout, silently.
template <class Element>
void define(nb::module_& module) {
    module.def("pool", pool<Element>, nb::arg("x").noconvert(), nb::arg("weights").noconvert().none(),
               nb::arg("temporal").noconvert(), nb::arg("spatial").noconvert(), nb::arg("level") = nb::none());
    module.def("frame_energy", frame_energy<Element>, nb::arg("x").noconvert(), nb::arg("energy").noconvert(),
               nb::arg("level") = nb::none());
    module.def("push", push<Element>, nb::arg("frame").noconvert(), nb::arg("slot").noconvert(), nb::kw_only(),
               nb::arg("oldest").noconvert().none(), nb::arg("previous").noconvert().none(),
               nb::arg("sums").noconvert(), nb::arg("spatial").noconvert(), nb::arg("energy").noconvert(),
               nb::arg("level") = nb::none());
}

}  // namespace

NB_MODULE(_native, module) {
    module.doc() = "CPU kernels of redvillm; use them through redvillm.kernels, which checks arguments in words.";
    module.def("supported_levels", supported_levels, "CPU levels that this processor runs, fastest first.");
    define<float>(module);
    define<Half>(module);
}
