// Attention over a cache of keys and values, spread over threads. Knows the kernels; does not know who calls.
#pragma once

#include "decoder_kernels.h"
#include "parallel.h"

namespace redvillm {

struct RotaryTables {
    const float* cosines;  // [positions, head_width / 2]
    const float* sines;    // the same
};

// Bytes that cached_attention needs for itself.
std::size_t cached_attention_scratch_bytes(AttentionShape);

// Causal grouped-query attention of the new tokens over all positions so far. packed [S, (num_heads + 2 * num_kv_heads)
// * head_width] holds queries, keys and values; keys and values enter the cache at num_past. attended [S, num_heads *
// head_width]. scratch is aligned to 64 bytes.
void cached_attention(const DecoderKernels&, const ParallelLoop&, const float* packed, RotaryTables, AttentionShape,
                      AttentionCache, float* attended, void* scratch);

}  // namespace redvillm
