// Temporal and spatial pooling of a clip in one read of it. Included once per level; no include guard: see level.h.

namespace redvillm {
namespace REDVILLM_LEVEL {

// Four frames share one update of the temporal sums, 32 patches of sums stay in the second-level cache, and 2048
// columns of spatial sums stay in the first. Sum rows are staggered by 80 floats, because rows a multiple of 4 KiB
// apart compete for the same cache sets. Frames lie too far apart for the hardware prefetcher, so lines are asked for 1
// KiB ahead.
inline constexpr std::size_t kFramesPerTile = 4;
inline constexpr std::size_t kPatchesPerBlock = 32;
inline constexpr std::size_t kColumnsPerBlock = 2048;
inline constexpr std::size_t kSumStride = kColumnsPerBlock + 80;
inline constexpr std::size_t kPrefetchBytes = 1024;

struct Range {
    std::size_t begin, end;
};

// Part of a clip: kFrames frames from `frame`, the patches and columns of two ranges.
struct PoolTile {
    std::size_t frame;
    Range patches, columns;
};

template <std::size_t kFrames, bool kWeighted, class Element>
inline void pool_tile(const Element* x, ClipShape shape, PoolTile tile, const float* weights, float* temporal,
                      float* spatial) {
    alignas(64) float sums[kFrames * kSumStride];
    const std::size_t frame_size = shape.num_patches * shape.width;
    const bool first_frames = tile.frame == 0, last_frames = tile.frame + kFrames == shape.num_frames;
    const bool first_patches = tile.patches.begin == 0, last_patches = tile.patches.end == shape.num_patches;
    const std::size_t width = tile.columns.end - tile.columns.begin;
    for (std::size_t i = 0; i < kFrames; ++i) {
        const float* so_far = spatial + (tile.frame + i) * shape.width + tile.columns.begin;
        for (std::size_t d = 0; d < width; ++d) sums[i * kSumStride + d] = first_patches ? 0.0f : so_far[d];
    }
    for (std::size_t n = tile.patches.begin; n < tile.patches.end; ++n) {
        const Element* row = x + tile.frame * frame_size + n * shape.width;
        float* temporal_row = temporal + n * shape.width;
        for_columns(tile.columns.begin, tile.columns.end, [&](std::size_t column, auto columns) {
            Lanes over_frames = zero_lanes();
            for (std::size_t i = 0; i < kFrames; ++i) {
                const Element* from = row + i * frame_size + column;
                __builtin_prefetch(from + kPrefetchBytes / sizeof(Element));
                Lanes value = columns.read(from);
                float* sum = sums + i * kSumStride + (column - tile.columns.begin);
                Lanes over_patches = columns.read(sum);
                over_patches += value;
                columns.write(sum, over_patches);
                if (kWeighted) value *= all_lanes(weights[tile.frame + i]);
                over_frames += value;
            }
            if (!first_frames) over_frames += columns.read(temporal_row + column);
            if (!kWeighted && last_frames) over_frames /= all_lanes(static_cast<float>(shape.num_frames));
            columns.write(temporal_row + column, over_frames);
        });
    }
    const float divisor = last_patches ? static_cast<float>(shape.num_patches) : 1.0f;
    for (std::size_t i = 0; i < kFrames; ++i) {
        float* row = spatial + (tile.frame + i) * shape.width + tile.columns.begin;
        for (std::size_t d = 0; d < width; ++d) row[d] = sums[i * kSumStride + d] / divisor;
    }
}

template <bool kWeighted, class Element>
inline void pool_all(const Element* x, ClipShape shape, ColumnRange wanted, const float* weights, float* temporal,
                     float* spatial) {
    for (std::size_t n = 0; n < shape.num_patches; n += kPatchesPerBlock) {
        const Range patches{n, n + kPatchesPerBlock < shape.num_patches ? n + kPatchesPerBlock : shape.num_patches};
        for (std::size_t d = wanted.begin; d < wanted.end; d += kColumnsPerBlock) {
            const Range columns{d, d + kColumnsPerBlock < wanted.end ? d + kColumnsPerBlock : wanted.end};
            std::size_t t = 0;
            for (; t + kFramesPerTile <= shape.num_frames; t += kFramesPerTile)
                pool_tile<kFramesPerTile, kWeighted>(x, shape, {t, patches, columns}, weights, temporal, spatial);
            for (; t < shape.num_frames; ++t)
                pool_tile<1, kWeighted>(x, shape, {t, patches, columns}, weights, temporal, spatial);
        }
    }
}

template <class Element>
void pool(const Element* x, ClipShape shape, ColumnRange columns, const float* weights, float* temporal,
          float* spatial) {
    if (weights)
        pool_all<true>(x, shape, columns, weights, temporal, spatial);
    else
        pool_all<false>(x, shape, columns, weights, temporal, spatial);
}

}  // namespace REDVILLM_LEVEL
}  // namespace redvillm
