#include "block_linear.h"

#include <algorithm>

namespace redvillm {
namespace {

constexpr std::size_t kAlignment = 64;
// Work is cut so that threads of unlike speed end together, and not so fine that handing it out counts.
constexpr std::size_t kMostPieces = 16;
constexpr std::size_t kLeastTokensPerPiece = 24;  // quantizing fewer is quicker than waking a thread

std::size_t align(std::size_t bytes) {
    return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

std::size_t divide_up(std::size_t count, std::size_t by) {
    return (count + by - 1) / by;
}

}  // namespace

std::size_t block_linear_scratch_bytes(std::size_t num_tokens, std::size_t num_inputs) {
    return align(num_tokens * num_inputs) + num_tokens * (num_inputs / kBlockInputs) * 2 * sizeof(float);
}

void block_linear(const DecoderKernels& kernels, const ParallelLoop& loop, const float* x, std::size_t num_tokens,
                  RootMeanSquareNorm norm, const BlockMatrix& matrix, LinearOutput output, void* scratch) {
    if (num_tokens == 0) return;
    auto* bytes = static_cast<std::int8_t*>(scratch);
    const QuantizedTokens tokens{bytes, reinterpret_cast<float*>(bytes + align(num_tokens * matrix.num_inputs)),
                                 num_tokens};
    const std::size_t tokens_per_piece = divide_up(kLeastTokensPerPiece, kernels.tile_tokens) * kernels.tile_tokens;
    parallel_for(loop, divide_up(num_tokens, tokens_per_piece), [&](std::size_t piece) {
        const std::size_t first = piece * tokens_per_piece;
        kernels.quantize(x, matrix.num_inputs, norm, {first, std::min(first + tokens_per_piece, num_tokens)}, tokens);
    });
    const std::size_t num_tiles = divide_up(output.silu_gate ? matrix.num_rows / 2 : matrix.num_rows, kTileRows);
    const std::size_t pieces = std::min(num_tiles, kMostPieces);
    parallel_for(loop, pieces, [&](std::size_t piece) {
        kernels.multiply(matrix, tokens, {num_tiles * piece / pieces, num_tiles * (piece + 1) / pieces}, output);
    });
}

}  // namespace redvillm
