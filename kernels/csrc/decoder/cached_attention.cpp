#include "cached_attention.h"

#include <algorithm>

namespace redvillm {
namespace {

// Rows of queries that share the keys of a chunk once they are transposed; with few rows in all, threads share chunks
// instead. Tokens that one thread appends, and pieces of work that are handed out.
constexpr std::size_t kMostRows = 48;
constexpr std::size_t kFewRows = 24;
constexpr std::size_t kTokensPerPiece = 8;
constexpr std::size_t kMostPieces = 24;

std::size_t divide_up(std::size_t count, std::size_t by) {
    return (count + by - 1) / by;
}

// Floats in whole cache lines.
std::size_t padded(std::size_t count) {
    return divide_up(count, 16) * 16;
}

// How the work is cut and where in the scratch everything lies.
struct Plan {
    std::size_t heads_per_kv, rows_per_head, rows_per_group, num_groups, num_chunks;
    bool by_chunks;
    std::size_t num_items, num_pieces;
    std::size_t query_floats, attend_floats, partial_floats, num_partials;

    explicit Plan(const AttentionShape& shape)
        : heads_per_kv(shape.num_heads / shape.num_kv_heads),
          rows_per_head(shape.num_tokens * heads_per_kv),
          rows_per_group(std::min(rows_per_head, kMostRows)),
          num_groups(divide_up(rows_per_head, rows_per_group)),
          num_chunks(divide_up(shape.num_past + shape.num_tokens, kChunkPositions)),
          by_chunks(rows_per_head <= kFewRows),
          num_items(shape.num_kv_heads * (by_chunks ? num_chunks : num_groups)),
          num_pieces(std::min(num_items, kMostPieces)),
          query_floats(padded(shape.num_tokens * shape.num_heads * shape.head_width)),
          attend_floats((shape.head_width + rows_per_group) * kChunkPositions),
          partial_floats(padded(rows_per_group * (shape.head_width + 2))),
          num_partials(by_chunks ? num_items : 2 * num_pieces) {}

    std::size_t floats() const { return query_floats + num_pieces * attend_floats + num_partials * partial_floats; }
};

class Attention {
  public:
    Attention(const DecoderKernels& kernels, const AttentionShape& shape, AttentionCache cache, float* attended,
              float* scratch)
        : kernels_(kernels), shape_(shape), plan_(shape), cache_(cache), attended_(attended), scratch_(scratch) {}

    void run(const ParallelLoop& loop, const float* packed, RotaryTables tables) const {
        parallel_for(loop, divide_up(shape_.num_tokens, kTokensPerPiece), [&](std::size_t piece) {
            const std::size_t first = piece * kTokensPerPiece;
            kernels_.append(packed, tables.cosines, tables.sines, shape_,
                            {first, std::min(first + kTokensPerPiece, shape_.num_tokens)}, cache_, scratch_);
        });
        parallel_for(loop, plan_.num_pieces, [&](std::size_t piece) {
            const std::size_t end = plan_.num_items * (piece + 1) / plan_.num_pieces;
            for (std::size_t item = plan_.num_items * piece / plan_.num_pieces; item < end; ++item)
                plan_.by_chunks ? attend_chunk(piece, item) : attend_rows(piece, item);
        });
        if (plan_.by_chunks)
            for (std::size_t kv_head = 0; kv_head < shape_.num_kv_heads; ++kv_head) join_chunks(kv_head);
    }

  private:
    PartialAttention partial(std::size_t index) const {
        float* values =
            scratch_ + plan_.query_floats + plan_.num_pieces * plan_.attend_floats + index * plan_.partial_floats;
        float* largest = values + plan_.rows_per_group * shape_.head_width;
        return {largest, largest + plan_.rows_per_group, values};
    }

    void attend(std::size_t piece, std::size_t kv_head, IndexRange rows, std::size_t chunk, PartialAttention to) const {
        kernels_.attend(scratch_, shape_, kv_head, rows, chunk, cache_,
                        scratch_ + plan_.query_floats + piece * plan_.attend_floats, to);
    }

    void attend_chunk(std::size_t piece, std::size_t item) const {
        attend(piece, item / plan_.num_chunks, {0, plan_.rows_per_head}, item % plan_.num_chunks, partial(item));
    }

    void join_chunks(std::size_t kv_head) const {
        const PartialAttention sums = partial(kv_head * plan_.num_chunks);
        for (std::size_t chunk = 1; chunk < plan_.num_chunks; ++chunk)
            kernels_.join(sums, partial(kv_head * plan_.num_chunks + chunk), plan_.rows_per_head, shape_.head_width);
        write(sums, kv_head, {0, plan_.rows_per_head});
    }

    void attend_rows(std::size_t piece, std::size_t item) const {
        const std::size_t kv_head = item / plan_.num_groups, first = item % plan_.num_groups * plan_.rows_per_group;
        const IndexRange rows{first, std::min(first + plan_.rows_per_group, plan_.rows_per_head)};
        const std::size_t positions = shape_.num_past + (rows.end - 1) / plan_.heads_per_kv + 1;
        const PartialAttention sums = partial(2 * piece), next = partial(2 * piece + 1);
        attend(piece, kv_head, rows, 0, sums);
        for (std::size_t chunk = 1; chunk * kChunkPositions < positions; ++chunk) {
            attend(piece, kv_head, rows, chunk, next);
            kernels_.join(sums, next, rows.end - rows.begin, shape_.head_width);
        }
        write(sums, kv_head, rows);
    }

    // Divides the sums of some rows of one head and writes them to their tokens.
    void write(PartialAttention sums, std::size_t kv_head, IndexRange rows) const {
        for (std::size_t r = rows.begin; r < rows.end; ++r, sums.values += shape_.head_width, ++sums.weights) {
            const std::size_t head = kv_head * plan_.heads_per_kv + r % plan_.heads_per_kv;
            float* to = attended_ + (r / plan_.heads_per_kv * shape_.num_heads + head) * shape_.head_width;
            for (std::size_t d = 0; d < shape_.head_width; ++d) to[d] = sums.values[d] / *sums.weights;
        }
    }

    const DecoderKernels& kernels_;
    const AttentionShape shape_;
    const Plan plan_;
    const AttentionCache cache_;
    float* const attended_;
    float* const scratch_;
};

}  // namespace

std::size_t cached_attention_scratch_bytes(AttentionShape shape) {
    return Plan(shape).floats() * sizeof(float);
}

void cached_attention(const DecoderKernels& kernels, const ParallelLoop& loop, const float* packed, RotaryTables tables,
                      AttentionShape shape, AttentionCache cache, float* attended, void* scratch) {
    Attention(kernels, shape, cache, attended, static_cast<float*>(scratch)).run(loop, packed, tables);
}

}  // namespace redvillm
