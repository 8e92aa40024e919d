// A linear layer on block-quantized weights. Included once per level; no include guard: see level.h.

namespace redvillm {
namespace REDVILLM_LEVEL {

template <unsigned kBits>
inline constexpr std::size_t kBlockBytes = kTileRows * kBlockInputs * kBits / 8;

// With few tokens, weights are read once and come from memory: they are asked for ahead, and kept out of the
// second-level cache, which holds what the next operator needs.
inline constexpr std::size_t kFewTokens = 4;
inline constexpr std::size_t kLineBytes = 64;
inline constexpr std::size_t kPrefetchBytes = 8192;

// One block of sixteen rows, unpacked.
struct BlockCodes {
    Group groups[kGroupsPerBlock];
};

template <unsigned kBits>
inline BlockCodes load_block(const std::uint8_t* from) {
    BlockCodes block;
    if constexpr (kBits == 8) {
        for (std::size_t g = 0; g < kGroupsPerBlock; ++g) block.groups[g] = load_group(from + g * kGroupBytes);
    } else {
        for (std::size_t g = 0; g < kGroupsPerBlock; g += 2) {
            const Group pairs = load_group(from + g / 2 * kGroupBytes);
            block.groups[g] = low_halves(pairs);
            block.groups[g + 1] = high_halves(pairs);
        }
    }
    return block;
}

// Adds one block of sixteen rows times kCount tokens; their dot products advance side by side, since each waits for
// itself.
template <unsigned kBits, std::size_t kCount>
inline void add_block(const BlockCodes& block, const Lanes& scale, const Lanes& minimum, const std::int8_t* codes,
                      const float* factors, Lanes* totals) {
    BlockDot<kBits> dots[kCount];
#pragma GCC unroll 8
    for (std::size_t g = 0; g < kGroupsPerBlock; ++g)
#pragma GCC unroll 8
        for (std::size_t t = 0; t < kCount; ++t)
            dots[t].add(block.groups[g], codes + t * kBlockInputs + g * kGroupInputs);
#pragma GCC unroll 8
    for (std::size_t t = 0; t < kCount; ++t) {
        Lanes product = spread(factors[2 * t]);
        product *= scale;
        product *= dots[t].sums();
        Lanes offset = spread(factors[2 * t + 1]);
        offset *= minimum;
        product += offset;
        totals[t] += product;
    }
}

// Sixteen rows times a group of tokens: sums [kTokens].
template <unsigned kBits, std::size_t kTokens>
inline void multiply_tile(const BlockMatrix& matrix, std::size_t tile, const std::int8_t* codes, const float* factors,
                          Lanes* sums) {
    const std::size_t num_blocks = matrix.num_inputs / kBlockInputs;
    const std::uint8_t* weights = matrix.codes + tile * num_blocks * kBlockBytes<kBits>;
    const Half* scales = matrix.scales + tile * num_blocks * kTileRows;
    const Half* minimums = matrix.minimums ? matrix.minimums + tile * num_blocks * kTileRows : nullptr;
    Lanes totals[kTokens] = {};
    for (std::size_t b = 0; b < num_blocks; ++b) {
        if constexpr (kTokens <= kFewTokens)
            for (std::size_t line = 0; line < kBlockBytes<kBits>; line += kLineBytes)
                __builtin_prefetch(weights + b * kBlockBytes<kBits> + kPrefetchBytes + line, 0, 0);
        const BlockCodes block = load_block<kBits>(weights + b * kBlockBytes<kBits>);
        const Lanes scale = load(scales + b * kTileRows);
        Lanes minimum = scale;
        if (minimums)
            minimum = load(minimums + b * kTileRows);
        else
            minimum *= spread(kBits == 4 ? -8.0f : -128.0f);
#pragma GCC unroll 8
        for (std::size_t t = 0; t < kTokens / kChains; ++t)
            add_block<kBits, kChains>(block, scale, minimum, codes + t * kChains * kBlockInputs,
                                      factors + t * kChains * 2, totals + t * kChains);
        constexpr std::size_t kRest = kTokens % kChains, kDone = kTokens - kRest;
        if constexpr (kRest > 0)
            add_block<kBits, kRest>(block, scale, minimum, codes + kDone * kBlockInputs, factors + kDone * 2,
                                    totals + kDone);
        codes += kTokens * kBlockInputs;
        factors += kTokens * 2;
    }
    for (std::size_t t = 0; t < kTokens; ++t) sums[t] = totals[t];
}

using MultiplyTile = void (*)(const BlockMatrix&, std::size_t, const std::int8_t*, const float*, Lanes*);

template <unsigned kBits, std::size_t... kCounts>
inline MultiplyTile tile_function(std::size_t num_tokens, std::index_sequence<kCounts...>) {
    static constexpr MultiplyTile functions[] = {multiply_tile<kBits, kCounts + 1>...};
    return functions[num_tokens - 1];
}

inline MultiplyTile tile_function(unsigned bits, std::size_t num_tokens) {
    constexpr auto counts = std::make_index_sequence<kTileTokens>();
    return bits == 4 ? tile_function<4>(num_tokens, counts) : tile_function<8>(num_tokens, counts);
}

// x / (1 + e^-x) * other
inline Lanes gated(Lanes x, const Lanes& other) {
    Lanes negative = zero_lanes();
    negative -= x;
    Lanes divisor = exponential(negative);
    divisor += spread(1.0f);
    x /= divisor;
    x *= other;
    return x;
}

// Writes sixteen outputs of one token, or as many as the matrix has.
inline void write_outputs(Lanes values, const LinearOutput& output, std::size_t place, std::size_t count) {
    const auto write = [&](auto columns) {
        if (output.residual) values += columns.read(output.residual + place);
        columns.write(output.values + place, values);
    };
    if (count >= kTileRows)
        write(Columns<true>{kLanes});
    else
        write(Columns<false>{count});
}

inline void multiply(const BlockMatrix& matrix, QuantizedTokens tokens, IndexRange tiles, LinearOutput output) {
    const std::size_t num_outputs = output.silu_gate ? matrix.num_rows / 2 : matrix.num_rows;
    const std::size_t up_tile = num_outputs / kTileRows;
    for (std::size_t tile = tiles.begin; tile < tiles.end; ++tile) {
        for (std::size_t first = 0; first < tokens.num_tokens; first += kTileTokens) {
            const std::size_t left = tokens.num_tokens - first;
            const std::size_t group = left < kTileTokens ? left : kTileTokens;
            const MultiplyTile multiply_group = tile_function(matrix.bits, group);
            const std::int8_t* codes = group_codes(tokens, first, matrix.num_inputs);
            const float* factors = group_factors(tokens, first, matrix.num_inputs);
            Lanes sums[kTileTokens], up[kTileTokens];
            multiply_group(matrix, tile, codes, factors, sums);
            if (output.silu_gate) multiply_group(matrix, tile + up_tile, codes, factors, up);
            for (std::size_t t = 0; t < group; ++t) {
                const std::size_t row = tile * kTileRows;
                const Lanes values = output.silu_gate ? gated(sums[t], up[t]) : sums[t];
                write_outputs(values, output, (first + t) * num_outputs + row, num_outputs - row);
            }
        }
    }
}

}  // namespace REDVILLM_LEVEL
}  // namespace redvillm
