// Normalizes and quantizes tokens. Included once per level; no include guard: see level.h.

namespace redvillm {
namespace REDVILLM_LEVEL {

// Tokens t .. t + n - 1 of one group lie block by block: codes [K / 32, n, 32], factors [K / 32, n, 2].
inline std::int8_t* group_codes(const QuantizedTokens& tokens, std::size_t first_token, std::size_t num_inputs) {
    return tokens.codes + first_token * num_inputs;
}

inline float* group_factors(const QuantizedTokens& tokens, std::size_t first_token, std::size_t num_inputs) {
    return tokens.factors + first_token * (num_inputs / kBlockInputs) * 2;
}

// Of magnitudes as bits, which order as the numbers do, with NaN above infinity: what is not finite is never lost.
inline float largest_magnitude(const Lanes& first, const Lanes& second) {
    const auto larger = [](IntPart a, IntPart b) { return a > b ? a : b; };
    IntPart largest{};
    for (std::size_t i = 0; i < kParts; ++i) {
        largest = larger(largest, reinterpret_cast<IntPart>(first.parts[i]) & 0x7fffffff);
        largest = larger(largest, reinterpret_cast<IntPart>(second.parts[i]) & 0x7fffffff);
    }
    const std::int32_t bits = joined_register(largest, larger)[0];
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

// Rounds to nearest, ties to even, and adds the codes to sums.
inline void round_to_codes(const Lanes& values, std::int8_t* codes, IntPart& sums) {
    using Codes = std::int8_t __attribute__((vector_size(kPartLanes)));
    for (std::size_t i = 0; i < kParts; ++i) {
        const Part shifted = values.parts[i] + kRoundingShift;
        const IntPart rounded = reinterpret_cast<IntPart>(shifted) - 0x4b400000;
        sums += rounded;
        const Codes bytes = __builtin_convertvector(rounded, Codes);
        std::memcpy(codes + i * kPartLanes, &bytes, sizeof bytes);
    }
}

inline void quantize_block(const Lanes& first, const Lanes& second, std::int8_t* codes, float* factors) {
    const float largest = largest_magnitude(first, second);
    const float scale = largest / 127.0f;
    const Lanes inverse = spread(largest > 0.0f ? 127.0f / largest : 0.0f);
    Lanes low = first, high = second;
    low *= inverse;
    high *= inverse;
    IntPart sums{};
    round_to_codes(low, codes, sums);
    round_to_codes(high, codes + kLanes, sums);
    const std::int32_t sum = joined_register(sums, [](IntPart a, IntPart b) { return a + b; })[0];
    factors[0] = scale;
    factors[1] = scale * static_cast<float>(sum);
}

inline float inverse_root_mean_square(const float* x, std::size_t count, float epsilon) {
    Lanes squares = zero_lanes();
    for (std::size_t k = 0; k < count; k += kLanes) squares += square_of(load(x + k));
    return 1.0f / __builtin_sqrtf(total_of(squares) / static_cast<float>(count) + epsilon);
}

inline void quantize(const float* x, std::size_t num_inputs, RootMeanSquareNorm norm, IndexRange range,
                     QuantizedTokens tokens) {
    for (std::size_t first = range.begin; first < range.end; first += kTileTokens) {
        const std::size_t group = range.end - first < kTileTokens ? range.end - first : kTileTokens;
        std::int8_t* codes = group_codes(tokens, first, num_inputs);
        float* factors = group_factors(tokens, first, num_inputs);
        for (std::size_t t = 0; t < group; ++t) {
            const float* row = x + (first + t) * num_inputs;
            const Lanes root = spread(norm.weight ? inverse_root_mean_square(row, num_inputs, norm.epsilon) : 1.0f);
            for (std::size_t k = 0; k < num_inputs; k += kBlockInputs) {
                Lanes low = load(row + k), high = load(row + k + kLanes);
                if (norm.weight) {
                    (low *= root) *= load(norm.weight + k);
                    (high *= root) *= load(norm.weight + k + kLanes);
                }
                const std::size_t place = k / kBlockInputs * group + t;
                quantize_block(low, high, codes + place * kBlockInputs, factors + place * 2);
            }
        }
    }
}

}  // namespace REDVILLM_LEVEL
}  // namespace redvillm
