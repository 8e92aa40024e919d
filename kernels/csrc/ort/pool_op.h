// The face of redvillm::SpatioTemporalPool towards ONNX Runtime, the same for every provider.
#pragma once

#include "api.h"
#include "guarded.h"

namespace redvillm::ort {

// Sets element types and shapes of both outputs from those of the features, symbolic sizes included. Never fails: ONNX
// Runtime ignores what this returns, so wrong features are refused when the node runs.
OrtStatusPtr infer_outputs(const OrtCustomOp* op, OrtShapeInferContext* context);

// One op for every element type, because typed ops of one name clash; Kernel::ComputeV2 switches. The type is undefined
// here and set by infer_outputs.
template <class Kernel>
struct PoolOp : Ort::CustomOpBase<PoolOp<Kernel>, Kernel, true> {
    PoolOp() {
        this->version = kApiVersion;
        this->InferOutputShapeFn = infer_outputs;
    }

    const char* GetName() const { return "SpatioTemporalPool"; }
    const char* GetExecutionProviderType() const { return Kernel::kExecutionProvider; }

    std::size_t GetInputTypeCount() const { return 2; }
    ONNXTensorElementDataType GetInputType(std::size_t index) const {
        return index == 0 ? ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED : ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
    }
    OrtCustomOpInputOutputCharacteristic GetInputCharacteristic(std::size_t index) const {
        return index == 0 ? INPUT_OUTPUT_REQUIRED : INPUT_OUTPUT_OPTIONAL;
    }

    std::size_t GetOutputTypeCount() const { return 2; }
    ONNXTensorElementDataType GetOutputType(std::size_t) const { return ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED; }

    OrtStatusPtr CreateKernelV2(const OrtApi&, const OrtKernelInfo* info, void** kernel) const {
        return guarded([info, kernel] { *kernel = new Kernel(info); });
    }
};

// The ops that this library was built with.
const OrtCustomOp& cpu_op();
#if defined(REDVILLM_ORT_CUDA)
const OrtCustomOp& cuda_op();
#endif

}  // namespace redvillm::ort
