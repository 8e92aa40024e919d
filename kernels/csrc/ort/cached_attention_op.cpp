// redvillm::CachedAttention: rotary embeddings and causal grouped-query attention on a cache of keys and values.
//
//   inputs      packed float32 [S, (num_heads + 2 kv_num_heads) * head_width], queries | keys | values; past_key,
//               past_value float16 [1, kv_num_heads, C, head_width]; last_position int32 [1]; sequence_length int32,
//               the length with the new tokens; cosines, sines float32 [positions, head_width / 2], row i for place i
//   outputs     float32 [S, num_heads * head_width]; present_key, present_value as the past, which is copied unless
//   both
//               are bound to one buffer
//   attributes  num_heads, kv_num_heads
#include "cached_attention.h"

#include <cstring>
#include <optional>

#include "decoder_context.h"
#include "decoder_ops.h"
#include "guarded.h"

namespace redvillm::ort {

namespace {

constexpr const char* kName = "CachedAttention";
enum Input : std::size_t {
    kPacked,
    kPastKey,
    kPastValue,
    kLastPosition,
    kSequenceLength,
    kCosines,
    kSines,
    kNumInputs
};
enum Output : std::size_t { kAttended, kPresentKey, kPresentValue, kNumOutputs };

Ort::Exception refusal(const std::string& words) {
    return decoder_refusal(kName, words);
}

Shape shape_of(const Ort::KernelContext& context, std::size_t index) {
    return context.GetInput(index).GetTensorTypeAndShapeInfo().GetShape();
}

class CachedAttentionKernel {
  public:
    explicit CachedAttentionKernel(const OrtKernelInfo* raw_info) : arena_(raw_info) {
        const Ort::ConstKernelInfo info{raw_info};
        num_heads_ = info.GetAttribute<std::int64_t>("num_heads");
        num_kv_heads_ = info.GetAttribute<std::int64_t>("kv_num_heads");
        if (num_kv_heads_ < 1 || num_heads_ < 1 || num_heads_ % num_kv_heads_ != 0)
            throw refusal("num_heads is " + std::to_string(num_heads_) + " and kv_num_heads " +
                          std::to_string(num_kv_heads_) + "; the first must be a multiple of the second");
        int has_cosines = 0, has_sines = 0;
        const Ort::ConstValue cosines = info.GetTensorConstantInput(kCosines, &has_cosines);
        const Ort::ConstValue sines = info.GetTensorConstantInput(kSines, &has_sines);
        if (has_cosines && has_sines) constant_tables_ = checked_tables(cosines, sines);
    }

    OrtStatusPtr ComputeV2(OrtKernelContext* context) {
        count_decoder_call();
        return guarded([this, context] { compute(Ort::KernelContext{context}); });
    }

  private:
    struct Tables {
        RotaryTables values;
        std::int64_t num_positions, head_width;
    };

    template <typename Value>
    static Tables checked_tables(const Value& cosines, const Value& sines) {
        const Shape shape = cosines.GetTensorTypeAndShapeInfo().GetShape();
        if (shape.size() != 2 || shape != sines.GetTensorTypeAndShapeInfo().GetShape())
            throw refusal("the cosines are " + words_of(shape) +
                          "; [positions, head_width / 2] is wanted, and the same for the sines");
        const std::int64_t head_width = shape[1] * 2;
        if (head_width < 16 || head_width > 256 || head_width % 16 != 0)
            throw refusal("head_width is " + std::to_string(head_width) + "; multiples of 16 up to 256 are legal");
        return {{cosines.template GetTensorData<float>(), sines.template GetTensorData<float>()}, shape[0], head_width};
    }

    // Constants are checked once, when the graph is opened; tables that come with each run, then.
    Tables tables_of(const Ort::KernelContext& context) const {
        return constant_tables_ ? *constant_tables_
                                : checked_tables(context.GetInput(kCosines), context.GetInput(kSines));
    }

    AttentionShape checked_shape(const Ort::KernelContext& context, const Tables& tables, const Shape& cache) const {
        const Shape packed = shape_of(context, kPacked);
        if (cache.size() != 4 || cache[0] != 1 || cache[1] != num_kv_heads_ || cache[3] != tables.head_width ||
            cache != shape_of(context, kPastValue))
            throw refusal("the cache is " + words_of(cache) + " and " + words_of(shape_of(context, kPastValue)) +
                          "; [1, " + std::to_string(num_kv_heads_) + ", C, " + std::to_string(tables.head_width) +
                          "] is wanted for both");
        const std::int64_t packed_width = (num_heads_ + 2 * num_kv_heads_) * tables.head_width;
        if (packed.size() != 2 || packed[0] < 1 || packed[1] != packed_width)
            throw refusal("packed is " + words_of(packed) + "; [1 or more, " + std::to_string(packed_width) +
                          "] is wanted");
        const std::int64_t total = *context.GetInput(kSequenceLength).GetTensorData<std::int32_t>();
        if (total < packed[0] || total > cache[2] || total > tables.num_positions)
            throw refusal("sequence_length is " + std::to_string(total) + " with " + std::to_string(packed[0]) +
                          " new tokens, " + std::to_string(cache[2]) + " positions in the cache and " +
                          std::to_string(tables.num_positions) + " in the tables");
        return {size_of(packed[0]),     size_of(total - packed[0]), size_of(num_heads_),
                size_of(num_kv_heads_), size_of(tables.head_width), size_of(cache[2])};
    }

    // The buffer of the present, holding the past.
    static Half* present(const Ort::KernelContext& context, std::size_t input, std::size_t output, const Shape& shape) {
        const auto* past = static_cast<const Half*>(context.GetInput(input).GetTensorRawData());
        auto* to = static_cast<Half*>(context.GetOutput(output, shape).GetTensorMutableRawData());
        const std::size_t count = size_of(shape[1] * shape[2] * shape[3]);
        if (to != past) std::memcpy(to, past, count * sizeof(Half));
        return to;
    }

    void compute(const Ort::KernelContext& context) const {
        const Shape cache_shape = shape_of(context, kPastKey);
        const Tables tables = tables_of(context);
        const AttentionShape shape = checked_shape(context, tables, cache_shape);
        const AttentionCache cache{present(context, kPastKey, kPresentKey, cache_shape),
                                   present(context, kPastValue, kPresentValue, cache_shape)};
        const Shape attended{static_cast<std::int64_t>(shape.num_tokens),
                             static_cast<std::int64_t>(shape.num_heads * shape.head_width)};
        const Scratch scratch(arena_, cached_attention_scratch_bytes(shape));
        cached_attention(*supported_decoder_kernels().front(), ContextLoop(context),
                         context.GetInput(kPacked).GetTensorData<float>(), tables.values, shape, cache,
                         context.GetOutput(kAttended, attended).GetTensorMutableData<float>(), scratch.get());
    }

    Arena arena_;
    std::int64_t num_heads_, num_kv_heads_;
    std::optional<Tables> constant_tables_;
};

struct CachedAttentionOp : Ort::CustomOpBase<CachedAttentionOp, CachedAttentionKernel, true> {
    CachedAttentionOp() { version = kApiVersion; }

    const char* GetName() const { return kName; }
    std::size_t GetInputTypeCount() const { return kNumInputs; }
    ONNXTensorElementDataType GetInputType(std::size_t index) const {
        switch (index) {
            case kPastKey:
            case kPastValue:
                return ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16;
            case kLastPosition:
            case kSequenceLength:
                return ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32;
            default:
                return ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
        }
    }
    std::size_t GetOutputTypeCount() const { return kNumOutputs; }
    ONNXTensorElementDataType GetOutputType(std::size_t index) const {
        return index == kAttended ? ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT : ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16;
    }

    OrtStatusPtr CreateKernelV2(const OrtApi&, const OrtKernelInfo* info, void** kernel) const {
        return guarded([info, kernel] { *kernel = new CachedAttentionKernel(info); });
    }
};

}  // namespace

const OrtCustomOp& cached_attention_op() {
    static const CachedAttentionOp op;
    return op;
}

}  // namespace redvillm::ort
