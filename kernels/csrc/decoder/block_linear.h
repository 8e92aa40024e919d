// A linear layer on block-quantized weights, spread over threads. Knows the kernels; does not know who calls.
#pragma once

#include "decoder_kernels.h"
#include "parallel.h"

namespace redvillm {

// Bytes that block_linear needs for itself.
std::size_t block_linear_scratch_bytes(std::size_t num_tokens, std::size_t num_inputs);

// output = activation(matrix @ norm(x)) + residual for x [num_tokens, K], with x quantized to 8 bits per block on the
// way. scratch is aligned to 64 bytes.
void block_linear(const DecoderKernels&, const ParallelLoop&, const float* x, std::size_t num_tokens,
                  RootMeanSquareNorm, const BlockMatrix&, LinearOutput, void* scratch);

}  // namespace redvillm
