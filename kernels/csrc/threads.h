// The kernels of one level, shared among threads. The results have the same bits for any number of them.
// Knows how the work is split; does not know Python. Throws what workers.h throws.
#pragma once

#include <type_traits>

#include "kernels.h"
#include "workers.h"

namespace redvillm {

// The one of three functions that takes elements of this type.
template <class Element, class Float, class HalfFunction, class BFloat16Function>
constexpr auto for_element(Float f32, HalfFunction f16, BFloat16Function bf16) {
    if constexpr (std::is_same_v<Element, float>)
        return f32;
    else if constexpr (std::is_same_v<Element, Half>)
        return f16;
    else
        return bf16;
}

// Part `part` of 0 .. size - 1, cut into num_parts.
template <class Range>
Range share_of(std::size_t size, std::size_t num_parts, std::size_t part) {
    return {size * part / num_parts, size * (part + 1) / num_parts};
}

inline std::size_t smaller(std::size_t one, std::size_t other) {
    return one < other ? one : other;
}

// Both means. Threads take blocks of patches, because a row that two processors read in halves is fetched nearly twice;
// each worker keeps the sums of its blocks apart, and they are added up in the order of the blocks.
template <class Element>
void pool_in_threads(const Kernels& kernels, const Element* x, ClipShape shape, const float* weights, float* temporal,
                     float* spatial, std::size_t num_threads) {
    const std::size_t num_blocks = num_patch_blocks(shape.num_patches);
    const std::size_t num_parts = smaller(num_threads, num_blocks), spatial_size = shape.num_frames * shape.width;
    if (num_parts == 1)
        return for_element<Element>(kernels.pool_f32, kernels.pool_f16, kernels.pool_bf16)(x, shape, {0, shape.width},
                                                                                           weights, temporal, spatial);
    Crew crew(num_parts - 1);
    BlockSums sums[kMaxThreads] = {{spatial, 0}};
    const float* further[kMaxPatchBlocks];
    std::size_t num_further = 0;
    for (std::size_t part = 1; part < num_parts; ++part) {
        const auto blocks = share_of<BlockRange>(num_blocks, num_parts, part);
        sums[part] = {crew.scratch(part - 1, (blocks.end - blocks.begin) * spatial_size), spatial_size};
        for (std::size_t block = 0; block < blocks.end - blocks.begin; ++block)
            further[num_further++] = sums[part].sums + block * spatial_size;
    }
    const auto pool_blocks =
        for_element<Element>(kernels.pool_blocks_f32, kernels.pool_blocks_f16, kernels.pool_blocks_bf16);
    crew.run([&](std::size_t part) {
        pool_blocks(x, shape, share_of<BlockRange>(num_blocks, num_parts, part), weights, temporal, sums[part]);
    });
    kernels.finish(spatial, spatial_size, further, num_further, shape.num_patches);
}

// The frame energy. Threads take rows.
template <class Element>
void energy_in_threads(const Kernels& kernels, const Element* x, ClipShape shape, float* energy,
                       std::size_t num_threads) {
    const auto compute = for_element<Element>(kernels.energy_f32, kernels.energy_f16, kernels.energy_bf16);
    const std::size_t num_rows = (shape.num_frames - 1) * shape.num_patches;
    if (num_threads == 1 || num_rows < num_threads) return compute(x, shape, {0, num_rows}, energy);
    Crew(num_threads - 1).run([&](std::size_t part) {
        compute(x, shape, share_of<RowRange>(num_rows, num_threads, part), energy);
    });
}

// The read yardstick. Threads take neighbouring parts.
inline float read_in_threads(const Kernels& kernels, const float* from, std::size_t size, std::size_t num_streams,
                             std::size_t num_threads) {
    float sums[kMaxThreads] = {};
    Crew(num_threads - 1).run([&](std::size_t part) {
        const auto share = share_of<ColumnRange>(size, num_threads, part);
        sums[part] = kernels.read(from + share.begin, share.end - share.begin, num_streams);
    });
    for (std::size_t part = 1; part < num_threads; ++part) sums[0] += sums[part];
    return sums[0];
}

}  // namespace redvillm
