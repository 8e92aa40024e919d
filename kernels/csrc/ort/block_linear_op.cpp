// redvillm::BlockLinear: a linear layer on block-quantized weights, with the norm before it and what follows it.
//
// A file carries a function for every form of the op that it uses, and functions of one name cannot differ (ONNX has
// overloads; onnxruntime 1.22 takes the first for all). So each form has a name, BlockLinear_4bit_minimums_norm_gate
// for example; the kernel is one, and the inputs and attributes tell it what to do.
//
//   inputs      x float32 [..., K]; codes uint8, scales float16, minimums float16 (optional) as BlockMatrix has them,
//   all
//               constant; norm_weight float32 [K] (optional, constant); residual float32 (optional), added
//   output      float32 [..., N], or [..., N / 2] with a gate
//   attributes  bits 4 or 8; num_outputs N; epsilon of the norm; activation "none" or "silu_gate"
#include "block_linear.h"

#include <utility>

#include "decoder_context.h"
#include "decoder_ops.h"
#include "guarded.h"

namespace redvillm::ort {

namespace {

constexpr const char* kName = "BlockLinear";
enum Input : std::size_t { kX, kCodes, kScales, kMinimums, kNormWeight, kResidual, kNumInputs };

Ort::Exception refusal(const std::string& words) {
    return decoder_refusal(kName, words);
}

class BlockLinearKernel {
  public:
    explicit BlockLinearKernel(const OrtKernelInfo* raw_info) : arena_(raw_info) {
        const Ort::ConstKernelInfo info{raw_info};
        const auto bits = info.GetAttribute<std::int64_t>("bits");
        const auto num_outputs = info.GetAttribute<std::int64_t>("num_outputs");
        const auto activation = info.GetAttribute<std::string>("activation");
        if (bits != 4 && bits != 8) throw refusal("bits is " + std::to_string(bits) + "; 4 and 8 are legal");
        if (activation != "none" && activation != "silu_gate")
            throw refusal("activation is '" + activation + "'; 'none' and 'silu_gate' are legal");
        if (num_outputs < 1) throw refusal("num_outputs is " + std::to_string(num_outputs) + "; 1 or more is legal");
        has_gate_ = activation == "silu_gate";
        if (has_gate_ && num_outputs % (2 * static_cast<std::int64_t>(kTileRows)) != 0)
            throw refusal("num_outputs is " + std::to_string(num_outputs) +
                          "; with a gate it must be a multiple of 32");
        read_weights(info, bits, num_outputs);
    }

    OrtStatusPtr ComputeV2(OrtKernelContext* context) {
        count_decoder_call();
        return guarded([this, context] { compute(Ort::KernelContext{context}); });
    }

  private:
    // Constants are looked at here, once: what a call does besides its sums is a good part of a short one.
    void read_weights(const Ort::ConstKernelInfo& info, std::int64_t bits, std::int64_t num_outputs) {
        const Ort::ConstValue codes = constant(info, kCodes);
        const Shape shape = codes.GetTensorTypeAndShapeInfo().GetShape();
        const std::int64_t num_tiles = (num_outputs + 15) / 16;
        if (shape.size() != 5 || shape[0] != num_tiles || shape[1] < 1 || shape[2] != bits || shape[3] != 16 ||
            shape[4] != 4)
            throw refusal("codes are " + words_of(shape) + "; [" + std::to_string(num_tiles) + ", K / 32, " +
                          std::to_string(bits) + ", 16, 4] is wanted");
        const Shape per_block{num_tiles, shape[1], 16};
        matrix_.codes = static_cast<const std::uint8_t*>(codes.GetTensorRawData());
        matrix_.scales = static_cast<const Half*>(data_of_shape(info, kScales, "scales", per_block));
        if (is_given(info, kMinimums))
            matrix_.minimums = static_cast<const Half*>(data_of_shape(info, kMinimums, "minimums", per_block));
        matrix_.num_rows = size_of(num_outputs);
        matrix_.num_inputs = size_of(shape[1]) * kBlockInputs;
        matrix_.bits = static_cast<unsigned>(bits);
        norm_.epsilon = info.GetAttribute<float>("epsilon");
        if (is_given(info, kNormWeight))
            norm_.weight = static_cast<const float*>(
                data_of_shape(info, kNormWeight, "norm_weight", {static_cast<std::int64_t>(matrix_.num_inputs)}));
        has_residual_ = is_given(info, kResidual);
    }

    static bool is_given(const Ort::ConstKernelInfo& info, std::size_t index) {
        return index < info.GetInputCount() && !info.GetInputName(index).empty();
    }

    static Ort::ConstValue constant(const Ort::ConstKernelInfo& info, std::size_t index) {
        int is_constant = 0;
        const Ort::ConstValue value = info.GetTensorConstantInput(index, &is_constant);
        if (!is_constant) throw refusal("input " + std::to_string(index) + " is not a constant; weights must be");
        return value;
    }

    static const void* data_of_shape(const Ort::ConstKernelInfo& info, std::size_t index, const char* name,
                                     const Shape& wanted) {
        const Ort::ConstValue value = constant(info, index);
        const Shape shape = value.GetTensorTypeAndShapeInfo().GetShape();
        if (shape != wanted)
            throw refusal(std::string(name) + " are " + words_of(shape) + "; " + words_of(wanted) + " is wanted");
        return value.GetTensorRawData();
    }

    void compute(const Ort::KernelContext& context) const {
        const Ort::ConstValue x = context.GetInput(kX);
        Shape shape = x.GetTensorTypeAndShapeInfo().GetShape();
        if (shape.empty() || size_of(shape.back()) != matrix_.num_inputs)
            throw refusal("x is " + words_of(shape) + "; its last size must be " + std::to_string(matrix_.num_inputs));
        std::size_t num_tokens = 1;
        for (std::size_t i = 0; i + 1 < shape.size(); ++i) num_tokens *= size_of(shape[i]);
        shape.back() = static_cast<std::int64_t>(has_gate_ ? matrix_.num_rows / 2 : matrix_.num_rows);
        LinearOutput output{nullptr, nullptr, has_gate_};
        if (has_residual_) {
            const Ort::ConstValue residual = context.GetInput(kResidual);
            const Shape given = residual.GetTensorTypeAndShapeInfo().GetShape();
            if (given != shape) throw refusal("residual is " + words_of(given) + "; " + words_of(shape) + " is wanted");
            output.residual = residual.GetTensorData<float>();
        }
        output.values = context.GetOutput(0, shape).GetTensorMutableData<float>();
        const Scratch scratch(arena_, block_linear_scratch_bytes(num_tokens, matrix_.num_inputs));
        block_linear(*supported_decoder_kernels().front(), ContextLoop(context), x.GetTensorData<float>(), num_tokens,
                     norm_, matrix_, output, scratch.get());
    }

    Arena arena_;
    BlockMatrix matrix_{};
    RootMeanSquareNorm norm_{};
    bool has_gate_, has_residual_ = false;
};

struct BlockLinearOp : Ort::CustomOpBase<BlockLinearOp, BlockLinearKernel, true> {
    explicit BlockLinearOp(std::string name) : name_(std::move(name)) { version = kApiVersion; }

    const char* GetName() const { return name_.c_str(); }
    std::size_t GetInputTypeCount() const { return kNumInputs; }
    ONNXTensorElementDataType GetInputType(std::size_t index) const {
        switch (index) {
            case kCodes:
                return ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8;
            case kScales:
            case kMinimums:
                return ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16;
            default:
                return ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
        }
    }
    OrtCustomOpInputOutputCharacteristic GetInputCharacteristic(std::size_t index) const {
        return index < kMinimums ? INPUT_OUTPUT_REQUIRED : INPUT_OUTPUT_OPTIONAL;
    }
    std::size_t GetOutputTypeCount() const { return 1; }
    ONNXTensorElementDataType GetOutputType(std::size_t) const { return ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT; }

    OrtStatusPtr CreateKernelV2(const OrtApi&, const OrtKernelInfo* info, void** kernel) const {
        return guarded([info, kernel] { *kernel = new BlockLinearKernel(info); });
    }

  private:
    std::string name_;
};

// The names of all forms: what the weights are, then which optional parts there are.
std::vector<std::string> form_names() {
    std::vector<std::string> names{"BlockLinear_4bit", "BlockLinear_4bit_minimums", "BlockLinear_8bit",
                                   "BlockLinear_8bit_minimums"};
    for (const char* part : {"_norm", "_gate", "_residual"})
        for (std::size_t i = 0, count = names.size(); i < count; ++i) names.push_back(names[i] + part);
    return names;
}

}  // namespace

const std::vector<const OrtCustomOp*>& block_linear_ops() {
    static const std::vector<const OrtCustomOp*> ops = [] {
        std::vector<const OrtCustomOp*> made;
        for (std::string& name : form_names()) made.push_back(new BlockLinearOp(std::move(name)));
        return made;
    }();
    return ops;
}

}  // namespace redvillm::ort
