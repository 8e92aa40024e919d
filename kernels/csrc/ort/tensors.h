// The tensors of one call of redvillm::SpatioTemporalPool, checked. Knows ONNX Runtime's tensors; does not compute.
#pragma once

#include <array>

#include "api.h"
#include "kernels.h"

namespace redvillm::ort {

struct Inputs {
    ONNXTensorElementDataType element;  // float32, float16 or, where the kernel has it, bfloat16
    ClipShape shape;
    const void* features;  // [T, N, D]
    const float* weights;  // [T], raw; nullptr without weights
};

struct Outputs {
    void* temporal;  // [N, D], of the element type of the features
    void* spatial;   // [T, D]
};

// Throws Ort::Exception, in words, for a wrong rank, size, element type or number of weights. Weights are not read.
Inputs read_inputs(const OrtKernelContext* context);

Outputs make_outputs(OrtKernelContext* context, ClipShape shape);

// An error that names the op.
Ort::Exception refusal(const std::string& words);

// An error for an element type that a kernel does not have.
Ort::Exception refused_element(ONNXTensorElementDataType element, const char* legal);

}  // namespace redvillm::ort
