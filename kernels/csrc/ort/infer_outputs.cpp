// Shape inference: features [T, N, D] give [N, D] and [T, D] of the same element type.
#include <array>
#include <atomic>
#include <string>
#include <vector>

#include "pool_op.h"

namespace redvillm::ort {

namespace {

struct Size {
    std::int64_t value;  // -1 if it is not known
    std::string symbol;  // empty if it is known
};

// Two unknown sizes must not look equal to ONNX Runtime, which shares buffers between tensors of equal shape.
Size unknown_size() {
    static std::atomic<unsigned> count{0};
    return {-1, "redvillm_size_" + std::to_string(count.fetch_add(1, std::memory_order_relaxed))};
}

// T, N, D of the features, or three unknown sizes if they do not say.
std::array<Size, 3> sizes_of(const OrtTensorTypeAndShapeInfo* info) {
    const OrtApi& api = Ort::GetApi();
    std::size_t rank = 0;
    Ort::ThrowOnError(api.GetDimensionsCount(info, &rank));
    std::array<Size, 3> sizes{unknown_size(), unknown_size(), unknown_size()};
    if (rank != sizes.size()) return sizes;
    std::array<std::int64_t, 3> values{};
    std::array<const char*, 3> symbols{};
    Ort::ThrowOnError(api.GetDimensions(info, values.data(), rank));
    Ort::ThrowOnError(api.GetSymbolicDimensions(info, symbols.data(), rank));
    for (std::size_t i = 0; i < rank; ++i) {
        if (values[i] >= 0)
            sizes[i] = {values[i], ""};
        else if (symbols[i] && *symbols[i])
            sizes[i] = {-1, symbols[i]};
    }
    return sizes;
}

void set_output(OrtShapeInferContext* context, std::size_t index, ONNXTensorElementDataType element, const Size& rows,
                const Size& columns) {
    const OrtApi& api = Ort::GetApi();
    OrtTensorTypeAndShapeInfo* made = nullptr;
    Ort::ThrowOnError(api.CreateTensorTypeAndShapeInfo(&made));
    const Ort::TensorTypeAndShapeInfo info{made};
    const std::array<std::int64_t, 2> values{rows.value, columns.value};
    std::array<const char*, 2> symbols{rows.symbol.c_str(), columns.symbol.c_str()};
    Ort::ThrowOnError(api.SetTensorElementType(info, element));
    Ort::ThrowOnError(api.SetDimensions(info, values.data(), values.size()));
    Ort::ThrowOnError(api.SetSymbolicDimensions(info, symbols.data(), symbols.size()));
    Ort::ThrowOnError(api.ShapeInferContext_SetOutputTypeShape(context, index, info));
}

}  // namespace

OrtStatusPtr infer_outputs(const OrtCustomOp*, OrtShapeInferContext* context) {
    return guarded([context] {
        const OrtApi& api = Ort::GetApi();
        OrtTensorTypeAndShapeInfo* features = nullptr;  // belongs to the context
        ONNXTensorElementDataType element{};
        Ort::ThrowOnError(api.ShapeInferContext_GetInputTypeShape(context, 0, &features));
        Ort::ThrowOnError(api.GetTensorElementType(features, &element));
        const auto [num_frames, num_patches, width] = sizes_of(features);
        set_output(context, 0, element, num_patches, width);
        set_output(context, 1, element, num_frames, width);
    });
}

}  // namespace redvillm::ort
