// SpatioTemporalPool on ONNX Runtime's CUDA provider: one launch on the stream of the run. All tensors are device
// memory, so the values of the weights are not looked at: that would wait for the device.
#include "launcher.h"
#include "pool_op.h"
#include "tensors.h"

namespace redvillm::ort {

namespace {

int launcher_element(ONNXTensorElementDataType element) {
    if (element == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT) return REDVILLM_FLOAT32;
    if (element == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16) return REDVILLM_FLOAT16;
    throw refused_element(element, "float32 (1) and float16 (10)");
}

class CudaKernel {
  public:
    static constexpr const char* kExecutionProvider = "CUDAExecutionProvider";

    explicit CudaKernel(const OrtKernelInfo*) {}

    OrtStatusPtr ComputeV2(OrtKernelContext* context) {
        count_call(Provider::kCuda);
        return guarded([context] { compute(context); });
    }

  private:
    static void compute(OrtKernelContext* context) {
        const Inputs inputs = read_inputs(context);
        const int element = launcher_element(inputs.element);
        const auto size = [](std::size_t value) { return static_cast<std::int64_t>(value); };
        const ClipShape shape = inputs.shape;
        const Outputs outputs = make_outputs(context, shape);
        void* stream = nullptr;
        Ort::ThrowOnError(Ort::GetApi().KernelContext_GetGPUComputeStream(context, &stream));
        const int status =
            redvillm_cuda_pool(inputs.features, element, size(shape.num_frames), size(shape.num_patches),
                               size(shape.width), inputs.weights, outputs.temporal, outputs.spatial, stream);
        if (status != 0)
            throw Ort::Exception("redvillm::SpatioTemporalPool: " + std::string(redvillm_cuda_error_text(status)),
                                 ORT_FAIL);
    }
};

}  // namespace

const OrtCustomOp& cuda_op() {
    static const PoolOp<CudaKernel> op;
    return op;
}

}  // namespace redvillm::ort
