// Reads a clip from standard input, writes what every kernel makes of it to standard output. For test_aarch64.py, which
// runs it under an emulator.
//
// In: T, N, D and the element (0 fp32, 1 fp16, 2 bf16) as 64-bit integers, weights [T] fp32, x [T, N, D].
// Out: temporal, spatial; the same without weights, of three threads; energy; of pushing all frames into a window of
// two: slots, sums, spatial, energy.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "threads.h"

namespace {

template <class Element>
std::vector<Element> read_all(std::size_t size) {
    std::vector<Element> values(size);
    if (std::fread(values.data(), sizeof(Element), size, stdin) != size) std::abort();
    return values;
}

template <class Element>
void write_all(const std::vector<Element>& values) {
    if (std::fwrite(values.data(), sizeof(Element), values.size(), stdout) != values.size()) std::abort();
}

template <class Element>
void dump(redvillm::ClipShape shape) {
    using namespace redvillm;
    const Kernels& kernels = *supported_kernels().front();
    const std::size_t frame_size = shape.num_patches * shape.width;
    const auto weights = read_all<float>(shape.num_frames);
    const auto x = read_all<Element>(shape.num_frames * frame_size);
    std::vector<float> temporal(frame_size), spatial(shape.num_frames * shape.width);
    for (const std::size_t threads : {std::size_t{1}, std::size_t{3}}) {
        const float* given = threads == 1 ? weights.data() : nullptr;
        pool_in_threads(kernels, x.data(), shape, given, temporal.data(), spatial.data(), threads);
        write_all(temporal);
        write_all(spatial);
    }
    std::vector<float> energy((shape.num_frames - 1) * shape.num_patches);
    energy_in_threads(kernels, x.data(), shape, energy.data(), 2);
    write_all(energy);
    std::vector<Half> slots(3 * frame_size);
    std::vector<double> sums(frame_size);
    std::vector<float> row(shape.width), row_energy(shape.num_patches);
    const auto push = for_element<Element>(kernels.push_f32, kernels.push_f16, kernels.push_bf16);
    for (std::size_t t = 0; t < shape.num_frames; ++t) {
        const auto slot = [&](std::size_t frame) { return slots.data() + frame % 3 * frame_size; };
        push(x.data() + t * frame_size, shape.num_patches, shape.width,
             {slot(t), t >= 2 ? slot(t + 1) : nullptr, t >= 1 ? slot(t + 2) : nullptr, sums.data(), row.data(),
              row_energy.data()});
    }
    write_all(slots);
    write_all(sums);
    write_all(row);
    write_all(row_energy);
}

}  // namespace

int main() {
    const auto header = read_all<std::uint64_t>(4);
    const redvillm::ClipShape shape{header[0], header[1], header[2]};
    if (header[3] == 0) dump<float>(shape);
    if (header[3] == 1) dump<redvillm::Half>(shape);
    if (header[3] == 2) dump<redvillm::BFloat16>(shape);
    return 0;
}
