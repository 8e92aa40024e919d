// The kernels of a language decoder as plain functions over plain pointers, one set per CPU level: a linear layer on
// block-quantized weights, and attention over a cache. Knows shapes and pointers; does not know Python, ONNX Runtime,
// threads or any framework. Nothing here allocates, throws or keeps state.
//
// Everything is split by rows, tokens or heads; no result depends on the split, and every level gives the same bits:
// integers are summed exactly, and float32 values are added in one fixed order without fused multiply-add.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "half.h"

namespace redvillm {

inline constexpr std::size_t kBlockInputs = 32;     // neighbouring inputs that share a scale
inline constexpr std::size_t kTileRows = 16;        // rows of weights that are stored interleaved
inline constexpr std::size_t kGroupInputs = 4;      // inputs of one row that lie side by side
inline constexpr std::size_t kChunkPositions = 64;  // attention adds up so many positions before it joins the sums

// Indices begin .. end - 1.
struct IndexRange {
    std::size_t begin, end;
};

// Weights [N, K] as scale * code + minimum, a scale and a minimum per row and block. Rows are padded to whole tiles.
//     codes     uint8 [N / 16, K / 32, 4, 16, 4] for 4 bits: the low halves of a byte are the inputs 8 g + i, the high
//               halves 8 g + 4 + i; uint8 [N / 16, K / 32, 8, 16, 4] for 8 bits: the inputs 4 g + i
//     scales    fp16 [N / 16, K / 32, 16]
//     minimums  the same, or nullptr for -8 * scale (4 bits) and -128 * scale (8 bits)
struct BlockMatrix {
    const std::uint8_t* codes;
    const Half* scales;
    const Half* minimums;
    std::size_t num_rows;    // N, without padding
    std::size_t num_inputs;  // K, a multiple of 32
    unsigned bits;           // 4 or 8
};

// Tokens whose values are codes in -127 .. 127 times a scale per token and block of 32. The order of the bytes is known
// to the level that wrote them.
struct QuantizedTokens {
    std::int8_t* codes;  // S * K
    float* factors;      // 2 * S * K / 32: scale, and scale * sum of the codes
    std::size_t num_tokens;
};

// Root mean square normalization: x * weight / sqrt(mean(x^2) + epsilon), https://arxiv.org/abs/1910.07467.
struct RootMeanSquareNorm {
    const float* weight;  // [K], or nullptr for none
    float epsilon;
};

struct LinearOutput {
    float* values;          // [S, N], or [S, N / 2] with a gate
    const float* residual;  // the same shape, added; nullptr for none
    bool silu_gate;         // rows are gate | up: silu(gate) * up comes out
};

// What is attended to. Query head h reads the cache of head h * num_kv_heads / num_heads.
struct AttentionShape {
    std::size_t num_tokens;  // S new ones
    std::size_t num_past;    // positions in the cache before them
    std::size_t num_heads;   // a multiple of num_kv_heads
    std::size_t num_kv_heads;
    std::size_t head_width;       // a multiple of 16, at most 256
    std::size_t cache_positions;  // C
};

struct AttentionCache {
    Half* keys;    // [num_kv_heads, C, head_width]
    Half* values;  // the same
};

// A softmax over some positions: sums are those of exp(score - largest).
struct PartialAttention {
    float* largest;  // [rows]
    float* weights;  // [rows], sum of the exponentials
    float* values;   // [rows, head_width], sum of the values by their exponentials
};

struct DecoderKernels {
    const char* level;
    std::size_t tile_tokens;  // tokens are quantized in groups of so many, from 0 on

    // Quantizes tokens of x [S, K]; tokens.begin is a multiple of tile_tokens, tokens.end too or S.
    void (*quantize)(const float* x, std::size_t num_inputs, RootMeanSquareNorm, IndexRange tokens, QuantizedTokens);

    // The outputs of tiles of 16 rows (with a gate: of the pairs of tiles), for all tokens.
    void (*multiply)(const BlockMatrix&, QuantizedTokens, IndexRange tiles, LinearOutput);

    // Rotates (rotate-half, https://arxiv.org/abs/2104.09864) queries and keys of packed [S, (num_heads + 2 *
    // num_kv_heads) * head_width], writes keys and values of these tokens into the cache, and the queries, times
    // head_width^-0.5, into queries [num_kv_heads, S * num_heads / num_kv_heads, head_width]. cosines, sines
    // [positions, head_width / 2].
    void (*append)(const float* packed, const float* cosines, const float* sines, AttentionShape, IndexRange tokens,
                   AttentionCache, float* queries);

    // One key-value head, some rows of its queries, the positions of one chunk: scratch floats of attention_scratch().
    void (*attend)(const float* queries, AttentionShape, std::size_t kv_head, IndexRange rows, std::size_t chunk,
                   AttentionCache, float* scratch, PartialAttention);

    // Joins a chunk into the sums of the chunks before it.
    void (*join)(PartialAttention sums, PartialAttention chunk, std::size_t num_rows, std::size_t head_width);
};

// The levels that this processor runs, fastest first; never empty.
const std::vector<const DecoderKernels*>& supported_decoder_kernels();

}  // namespace redvillm
