// Temporal and spatial pooling of a clip in one read of it. Included once per level; no include guard: see level.h.

namespace redvillm {
namespace REDVILLM_LEVEL {

// Two frames share one update of the temporal sums; 2048 columns of their spatial sums stay in the first-level cache,
// in rows that are staggered, because rows a multiple of 4 KiB apart compete for the same cache sets. Wider tiles save
// updates, but the hardware follows two streams better than four, and their sums crowd out what is prefetched.
// The processor cannot guess where a stream goes on after a row, so each line is asked for a page before it is used.
inline constexpr std::size_t kFramesPerTile = 2;
inline constexpr std::size_t kColumnsPerTile = 2048;
inline constexpr std::size_t kSumStride = kColumnsPerTile + 80;
inline constexpr std::size_t kLookaheadBytes = 4096;
inline constexpr std::size_t kLineBytes = 64;

struct Range {
    std::size_t begin, end;
};

// Part of a clip: some frames from `frame` on, the patches and columns of two ranges.
struct PoolTile {
    std::size_t frame;
    Range patches, columns;
};

// The row that a thread reads `rows_ahead` rows after row n of a tile: in the tile, or else in the one that follows.
template <std::size_t kFrames, class Element>
inline const Element* row_ahead(const Element* x, ClipShape shape, const PoolTile& tile, std::size_t n,
                                std::size_t rows_ahead) {
    std::size_t frame = tile.frame, patch = n + rows_ahead;
    if (patch >= tile.patches.end && frame + 2 * kFrames <= shape.num_frames) {
        frame += kFrames;
        patch -= tile.patches.end - tile.patches.begin;
    } else if (patch >= tile.patches.end) {
        frame = 0;
    }
    if (patch >= shape.num_patches) patch = n;  // nothing follows
    return x + (frame * shape.num_patches + patch) * shape.width;
}

// What happens to one group of columns of kFrames frames.
template <std::size_t kFrames, bool kWeighted>
struct PoolGroup {
    std::size_t frame_size;
    bool first_frames, last_frames;
    float num_frames;
    const float* weights;

    template <class Element, class ColumnsType>
    void operator()(ColumnsType columns, const Element* from, float* temporal, float* sums) const {
        Lanes over_frames = zero_lanes();
        for (std::size_t i = 0; i < kFrames; ++i) {
            Lanes value = columns.read(from + i * frame_size);
            Lanes over_patches = load(sums + i * kSumStride);
            over_patches += value;
            store(sums + i * kSumStride, over_patches);
            if (kWeighted) value *= all_lanes(weights[i]);
            over_frames += value;
        }
        if (!first_frames) over_frames += columns.read(temporal);
        if (!kWeighted && last_frames) over_frames /= all_lanes(num_frames);
        columns.write(temporal, over_frames);
    }
};

template <std::size_t kFrames, bool kWeighted, class Element>
inline void pool_tile(const Element* x, ClipShape shape, const PoolTile& tile, const float* weights, float* temporal,
                      float* spatial_sums, bool add) {
    constexpr std::size_t kLine = kLineBytes / sizeof(Element), kAhead = kLookaheadBytes / sizeof(Element);
    alignas(64) float sums[kFrames * kSumStride];
    const std::size_t begin = tile.columns.begin, width = tile.columns.end - begin;
    for (std::size_t i = 0; i < kFrames; ++i) std::memset(sums + i * kSumStride, 0, (width + kLanes) * sizeof(float));
    const PoolGroup<kFrames, kWeighted> pool_group{
        shape.num_patches * shape.width, tile.frame == 0, tile.frame + kFrames == shape.num_frames,
        static_cast<float>(shape.num_frames), kWeighted ? weights + tile.frame : nullptr};
    for (std::size_t n = tile.patches.begin; n < tile.patches.end; ++n) {
        const Element* row = x + (tile.frame * shape.num_patches + n) * shape.width + begin;
        float* temporal_row = temporal + n * shape.width + begin;
        const std::size_t rows_ahead = kAhead / width, columns_ahead = kAhead % width;
        // In the row where column 0 looks to, and from the last columns on in the row after that one.
        const Element* near = row_ahead<kFrames>(x, shape, tile, n, rows_ahead) + begin + columns_ahead;
        const Element* far = row_ahead<kFrames>(x, shape, tile, n, rows_ahead + 1) + begin;
        std::size_t column = 0;
        for (; column + kLine <= width; column += kLine) {
            const Element* ahead =
                column + columns_ahead < width ? near + column : far + column + columns_ahead - width;
            for (std::size_t i = 0; i < kFrames; ++i) __builtin_prefetch(ahead + i * pool_group.frame_size);
            for (std::size_t d = column; d < column + kLine; d += kLanes)
                pool_group(Columns<true>{kLanes}, row + d, temporal_row + d, sums + d);
        }
        for_columns(column, width,
                    [&](std::size_t d, auto columns) { pool_group(columns, row + d, temporal_row + d, sums + d); });
    }
    for (std::size_t i = 0; i < kFrames; ++i) {
        float* to = spatial_sums + (tile.frame + i) * shape.width + begin;
        const float* from = sums + i * kSumStride;
        for (std::size_t d = 0; d < width; ++d) to[d] = add ? to[d] + from[d] : from[d];
    }
}

template <bool kWeighted, class Element>
inline void pool_patches(const Element* x, ClipShape shape, Range patches, ColumnRange wanted, const float* weights,
                         float* temporal, float* spatial_sums, bool add) {
    for (std::size_t d = wanted.begin; d < wanted.end; d += kColumnsPerTile) {
        const Range columns{d, d + kColumnsPerTile < wanted.end ? d + kColumnsPerTile : wanted.end};
        std::size_t t = 0;
        for (; t + kFramesPerTile <= shape.num_frames; t += kFramesPerTile)
            pool_tile<kFramesPerTile, kWeighted>(x, shape, {t, patches, columns}, weights, temporal, spatial_sums, add);
        for (; t < shape.num_frames; ++t)
            pool_tile<1, kWeighted>(x, shape, {t, patches, columns}, weights, temporal, spatial_sums, add);
    }
}

template <class Element>
void pool_some(const Element* x, ClipShape shape, BlockRange blocks, ColumnRange columns, const float* weights,
               float* temporal, BlockSums sums) {
    const std::size_t num_blocks = num_patch_blocks(shape.num_patches);
    for (std::size_t block = blocks.begin; block < blocks.end; ++block) {
        const Range patches{shape.num_patches * block / num_blocks, shape.num_patches * (block + 1) / num_blocks};
        float* block_sums = sums.sums + (block - blocks.begin) * sums.block_stride;
        const bool add = sums.block_stride == 0 && block > blocks.begin;
        if (weights)
            pool_patches<true>(x, shape, patches, columns, weights, temporal, block_sums, add);
        else
            pool_patches<false>(x, shape, patches, columns, weights, temporal, block_sums, add);
    }
}

template <class Element>
void pool_blocks(const Element* x, ClipShape shape, BlockRange blocks, const float* weights, float* temporal,
                 BlockSums sums) {
    pool_some(x, shape, blocks, {0, shape.width}, weights, temporal, sums);
}

template <class Element>
void pool(const Element* x, ClipShape shape, ColumnRange columns, const float* weights, float* temporal,
          float* spatial) {
    pool_some(x, shape, {0, num_patch_blocks(shape.num_patches)}, columns, weights, temporal, {spatial, 0});
    const float divisor = static_cast<float>(shape.num_patches);
    for (std::size_t t = 0; t < shape.num_frames; ++t)
        for (std::size_t d = columns.begin; d < columns.end; ++d) spatial[t * shape.width + d] /= divisor;
}

inline void finish(float* spatial, std::size_t size, const float* const* further, std::size_t num_further,
                   std::size_t num_patches) {
    const Lanes divisor = all_lanes(static_cast<float>(num_patches));
    for_columns(0, size, [&](std::size_t i, auto columns) {
        Lanes sum = columns.read(spatial + i);
        for (std::size_t block = 0; block < num_further; ++block) sum += columns.read(further[block] + i);
        sum /= divisor;
        columns.write(spatial + i, sum);
    });
}

}  // namespace REDVILLM_LEVEL
}  // namespace redvillm
