// Attention over a cache of keys and values in fp16. Included once per level; no include guard: see level.h.
//
// Positions are taken in chunks; each gives a partial softmax, and the chunks are joined in their order, as in
// https://arxiv.org/abs/2205.14135.

namespace redvillm {
namespace REDVILLM_LEVEL {

inline constexpr float kLowest = -3.0e38f;  // a score that no other is below, and whose differences stay finite

// first, second = first cosine - second sine, second cosine + first sine, over one half of a head.
template <class Element>
inline void rotate(const float* from, const float* cosines, const float* sines, std::size_t half_width, float factor,
                   Element* to) {
    for_columns(0, half_width, [&](std::size_t d, auto columns) {
        const Lanes first = columns.read(from + d), second = columns.read(from + half_width + d);
        const Lanes cosine = columns.read(cosines + d), sine = columns.read(sines + d);
        Lanes low = first, high = second, cross_low = second, cross_high = first;
        low *= cosine;
        low -= (cross_low *= sine);
        high *= cosine;
        high += (cross_high *= sine);
        columns.write(to + d, low *= spread(factor));
        columns.write(to + half_width + d, high *= spread(factor));
    });
}

inline void append(const float* packed, const float* cosines, const float* sines, AttentionShape shape,
                   IndexRange tokens, AttentionCache cache, float* queries) {
    const std::size_t width = shape.head_width, heads_per_kv = shape.num_heads / shape.num_kv_heads;
    const std::size_t packed_width = (shape.num_heads + 2 * shape.num_kv_heads) * width;
    const float factor = 1.0f / __builtin_sqrtf(static_cast<float>(width));
    for (std::size_t t = tokens.begin; t < tokens.end; ++t) {
        const float* from = packed + t * packed_width;
        const std::size_t position = shape.num_past + t;
        const float* cosine = cosines + position * (width / 2);
        const float* sine = sines + position * (width / 2);
        for (std::size_t h = 0; h < shape.num_heads; ++h, from += width) {
            const std::size_t row = (h / heads_per_kv * shape.num_tokens + t) * heads_per_kv + h % heads_per_kv;
            rotate(from, cosine, sine, width / 2, factor, queries + row * width);
        }
        for (std::size_t h = 0; h < shape.num_kv_heads; ++h, from += width)
            rotate(from, cosine, sine, width / 2, 1.0f, cache.keys + (h * shape.cache_positions + position) * width);
        for (std::size_t h = 0; h < shape.num_kv_heads; ++h, from += width)
            for (std::size_t d = 0; d < width; d += kLanes)
                store(cache.values + (h * shape.cache_positions + position) * width + d, load(from + d));
    }
}

// The even (odd) lanes of the result are the first (second) halves of two parts: 0 n 1 n+1 ... and so on.
template <std::size_t kOffset, std::size_t... kIndices>
inline Part zip(Part a, Part b, std::index_sequence<kIndices...>) {
    using Indices = std::int32_t __attribute__((vector_size(kRegisterBytes)));
    constexpr Indices order = {static_cast<std::int32_t>(kOffset + kIndices / 2 + (kIndices % 2 ? kPartLanes : 0))...};
    return __builtin_shuffle(a, b, order);
}

// Transposes a square of kPartLanes rows: interleaving the two halves, a logarithm of times.
inline void transpose(Part* rows) {
    constexpr auto indices = std::make_index_sequence<kPartLanes>();
    for (std::size_t step = 1; step < kPartLanes; step *= 2) {
        Part mixed[kPartLanes];
#pragma GCC unroll 8
        for (std::size_t i = 0; i < kPartLanes / 2; ++i) {
            mixed[2 * i] = zip<0>(rows[i], rows[i + kPartLanes / 2], indices);
            mixed[2 * i + 1] = zip<kPartLanes / 2>(rows[i], rows[i + kPartLanes / 2], indices);
        }
#pragma GCC unroll 16
        for (std::size_t i = 0; i < kPartLanes; ++i) rows[i] = mixed[i];
    }
}

// Keys [kChunkPositions, width] -> [width, kChunkPositions].
inline void transpose_keys(const Half* keys, std::size_t width, float* to) {
    for (std::size_t p = 0; p < kChunkPositions; p += kPartLanes) {
        for (std::size_t d = 0; d < width; d += kPartLanes) {
            Part rows[kPartLanes];
#pragma GCC unroll 16
            for (std::size_t i = 0; i < kPartLanes; ++i) rows[i] = widen(keys + (p + i) * width + d);
            transpose(rows);
#pragma GCC unroll 16
            for (std::size_t i = 0; i < kPartLanes; ++i)
                std::memcpy(to + (d + i) * kChunkPositions + p, &rows[i], kRegisterBytes);
        }
    }
}

// Scores of one row become exponentials; positions from `visible` on weigh nothing.
inline void soften(float* scores, std::size_t visible, float& largest, float& weight) {
    for (std::size_t p = visible; p < kChunkPositions; ++p) scores[p] = kLowest;
    Lanes highest = load(scores);
    for (std::size_t p = kLanes; p < kChunkPositions; p += kLanes) highest = larger(highest, load(scores + p));
    largest = largest_of(highest);
    for (std::size_t p = 0; p < kChunkPositions; p += kLanes) {
        Lanes score = load(scores + p);
        score -= spread(largest);
        store(scores + p, exponential(score));
    }
    for (std::size_t p = visible; p < kChunkPositions; ++p) scores[p] = 0.0f;
    Lanes sum = load(scores);
    for (std::size_t p = kLanes; p < kChunkPositions; p += kLanes) sum += load(scores + p);
    weight = total_of(sum);
}

inline void attend(const float* queries, AttentionShape shape, std::size_t kv_head, IndexRange rows, std::size_t chunk,
                   AttentionCache cache, float* scratch, PartialAttention partial) {
    const std::size_t width = shape.head_width, heads_per_kv = shape.num_heads / shape.num_kv_heads;
    const std::size_t num_rows = rows.end - rows.begin, first = chunk * kChunkPositions;
    const std::size_t place = (kv_head * shape.cache_positions + first) * width;
    float* transposed = scratch;
    float* scores = scratch + width * kChunkPositions;
    const std::size_t total = shape.num_past + shape.num_tokens;
    const std::size_t depth = total - first < kChunkPositions ? total - first : kChunkPositions;
    Half last_keys[kChunkPositions * kLargestHeadWidth];
    const Half* keys = cache.keys + place;
    if (first + kChunkPositions > shape.cache_positions) {  // never read behind the cache
        std::memset(last_keys, 0, sizeof last_keys);
        std::memcpy(last_keys, keys, depth * width * sizeof(Half));
        keys = last_keys;
    }
    transpose_keys(keys, width, transposed);
    const float* from = queries + (kv_head * shape.num_tokens * heads_per_kv + rows.begin) * width;
    multiply_matrices(Product<float>{from, width, transposed, kChunkPositions, scores, kChunkPositions, width},
                      num_rows, kChunkPositions);
    for (std::size_t r = 0; r < num_rows; ++r) {
        const std::size_t end = shape.num_past + (rows.begin + r) / heads_per_kv + 1;  // a token sees itself
        const std::size_t visible = end <= first ? 0 : end - first < kChunkPositions ? end - first : kChunkPositions;
        soften(scores + r * kChunkPositions, visible, partial.largest[r], partial.weights[r]);
    }
    multiply_matrices(Product<Half>{scores, kChunkPositions, cache.values + place, width, partial.values, width, depth},
                      num_rows, width);
}

// Sixteen rows or fewer; the factors by which their sums so far and those of the chunk shrink.
template <class Rows>
inline void join_weights(PartialAttention sums, PartialAttention chunk, std::size_t row, Rows rows, float* before,
                         float* after) {
    Lanes shrink_before = rows.read(sums.largest + row), shrink_after = rows.read(chunk.largest + row);
    const Lanes largest = larger(shrink_after, shrink_before);
    shrink_before = exponential(shrink_before -= largest);
    shrink_after = exponential(shrink_after -= largest);
    Lanes weights = rows.read(sums.weights + row), more = rows.read(chunk.weights + row);
    (weights *= shrink_before) += (more *= shrink_after);
    rows.write(sums.largest + row, largest);
    rows.write(sums.weights + row, weights);
    store(before, shrink_before);
    store(after, shrink_after);
}

inline void join(PartialAttention sums, PartialAttention chunk, std::size_t num_rows, std::size_t head_width) {
    for_columns(0, num_rows, [&](std::size_t first, auto rows) {
        float before[kLanes], after[kLanes];
        join_weights(sums, chunk, first, rows, before, after);
        for (std::size_t i = 0; i < rows.count; ++i) {
            float* to = sums.values + (first + i) * head_width;
            const float* more = chunk.values + (first + i) * head_width;
            for (std::size_t d = 0; d < head_width; d += kLanes) {
                Lanes values = load(to + d), others = load(more + d);
                (values *= spread(before[i])) += (others *= spread(after[i]));
                store(to + d, values);
            }
        }
    });
}

}  // namespace REDVILLM_LEVEL
}  // namespace redvillm
