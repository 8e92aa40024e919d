// The ops of a language decoder for ONNX Runtime's CPU provider: redvillm::BlockLinear and redvillm::CachedAttention.
#pragma once

#include <vector>

#include "api.h"

namespace redvillm::ort {

// One for every form of redvillm::BlockLinear; never destroyed.
const std::vector<const OrtCustomOp*>& block_linear_ops();
const OrtCustomOp& cached_attention_op();

// One more run of one of these ops.
void count_decoder_call();

}  // namespace redvillm::ort
