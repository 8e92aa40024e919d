// Reads and checks the inputs of one call; every refusal says what was wrong and what is legal.
// Calls the C functions themselves: their C++ wrappers call newer ones in newer headers, which an older runtime lacks.
#include "tensors.h"

#include <algorithm>
#include <string>
#include <vector>

namespace redvillm::ort {

namespace {

std::string text_of(const std::vector<std::int64_t>& sizes) {
    std::string text = "[";
    for (const std::int64_t size : sizes) text += (text.size() > 1 ? ", " : "") + std::to_string(size);
    return text + "]";
}

struct TensorInfo {
    ONNXTensorElementDataType element;
    std::vector<std::int64_t> sizes;
    const void* data;
};

// A tensor of the run; data is nullptr if the optional input is absent.
TensorInfo read_tensor(const OrtKernelContext* context, std::size_t index) {
    const OrtApi& api = Ort::GetApi();
    std::size_t num_inputs = 0;
    Ort::ThrowOnError(api.KernelContext_GetInputCount(context, &num_inputs));
    const OrtValue* value = nullptr;
    if (index < num_inputs) Ort::ThrowOnError(api.KernelContext_GetInput(context, index, &value));
    if (!value) return {};
    OrtTensorTypeAndShapeInfo* info = nullptr;
    Ort::ThrowOnError(api.GetTensorTypeAndShape(value, &info));
    const Ort::TensorTypeAndShapeInfo owner{info};
    TensorInfo tensor{};
    std::size_t rank = 0;
    void* data = nullptr;
    Ort::ThrowOnError(api.GetTensorElementType(info, &tensor.element));
    Ort::ThrowOnError(api.GetDimensionsCount(info, &rank));
    tensor.sizes.resize(rank);
    Ort::ThrowOnError(api.GetDimensions(info, tensor.sizes.data(), rank));
    Ort::ThrowOnError(api.GetTensorMutableData(const_cast<OrtValue*>(value), &data));  // which is only read
    static const char empty = 0;
    tensor.data = data ? data : &empty;  // of a tensor without elements
    return tensor;
}

void* make_output(OrtKernelContext* context, std::size_t index, std::size_t rows, std::size_t columns) {
    const std::array<std::int64_t, 2> sizes{static_cast<std::int64_t>(rows), static_cast<std::int64_t>(columns)};
    OrtValue* value = nullptr;
    void* data = nullptr;
    Ort::ThrowOnError(Ort::GetApi().KernelContext_GetOutput(context, index, sizes.data(), sizes.size(), &value));
    Ort::ThrowOnError(Ort::GetApi().GetTensorMutableData(value, &data));
    return data;
}

void check_weights(const TensorInfo& weights, std::int64_t num_frames) {
    if (weights.element != ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT) throw refusal("weights must be float32");
    if (weights.sizes != std::vector<std::int64_t>{num_frames})
        throw refusal("weights have the shape " + text_of(weights.sizes) + ", one weight per frame is wanted: [" +
                      std::to_string(num_frames) + "]");
}

}  // namespace

Ort::Exception refusal(const std::string& words) {
    return {"redvillm::SpatioTemporalPool: " + words, ORT_INVALID_ARGUMENT};
}

Ort::Exception refused_element(ONNXTensorElementDataType element, const char* legal) {
    return refusal("features have the ONNX element type " + std::to_string(static_cast<int>(element)) + ", " + legal +
                   " are legal here: cast them");
}

Inputs read_inputs(const OrtKernelContext* context) {
    const TensorInfo features = read_tensor(context, 0), weights = read_tensor(context, 1);
    const std::vector<std::int64_t>& sizes = features.sizes;
    const bool has_empty_size = std::any_of(sizes.begin(), sizes.end(), [](std::int64_t size) { return size < 1; });
    if (sizes.size() != 3 || has_empty_size)
        throw refusal("features have the shape " + text_of(sizes) +
                      ", [T, N, D] is wanted (frames, patches, width), every size at least 1");
    if (weights.data) check_weights(weights, sizes[0]);
    const ClipShape shape{static_cast<std::size_t>(sizes[0]), static_cast<std::size_t>(sizes[1]),
                          static_cast<std::size_t>(sizes[2])};
    return {features.element, shape, features.data, static_cast<const float*>(weights.data)};
}

Outputs make_outputs(OrtKernelContext* context, ClipShape shape) {
    return {make_output(context, 0, shape.num_patches, shape.width),
            make_output(context, 1, shape.num_frames, shape.width)};
}

}  // namespace redvillm::ort
