// SpatioTemporalPool on ONNX Runtime's CPU provider: the kernels of redvillm, on the threads that ONNX Runtime has.
#include <array>
#include <cmath>
#include <cstdint>
#include <memory>
#include <string>

#include "narrow.h"
#include "pool_op.h"
#include "tensors.h"

namespace redvillm::ort {

namespace {

struct ReleaseAllocator {
    void operator()(OrtAllocator* allocator) const { Ort::GetApi().ReleaseAllocator(allocator); }
};
using Allocator = std::unique_ptr<OrtAllocator, ReleaseAllocator>;

struct FreeNumbers {
    OrtAllocator* allocator;
    void operator()(float* numbers) const { allocator->Free(allocator, numbers); }
};
using Numbers = std::unique_ptr<float, FreeNumbers>;

Numbers allocate(OrtAllocator* allocator, std::size_t count) {
    void* memory = nullptr;
    if (count > 0) Ort::ThrowOnError(Ort::GetApi().AllocatorAlloc(allocator, count * sizeof(float), &memory));
    return {static_cast<float*>(memory), FreeNumbers{allocator}};
}

// Writes weights [T] divided by their sum, which is taken in double precision.
void normalize(const float* weights, std::size_t count, float* shares) {
    double sum = 0;
    for (std::size_t t = 0; t < count; ++t) {
        if (!std::isfinite(weights[t]) || weights[t] < 0)
            throw refusal("weight " + std::to_string(t) + " is " + std::to_string(weights[t]) +
                          "; weights must be finite and not negative");
        sum += static_cast<double>(weights[t]);
    }
    if (sum <= 0) throw refusal("all weights are zero; at least one must be above zero");
    for (std::size_t t = 0; t < count; ++t) shares[t] = static_cast<float>(static_cast<double>(weights[t]) / sum);
}

// A clip below this is not worth the waking of a thread.
constexpr std::size_t kMinBytesToShare = std::size_t{1} << 20;

using Narrow = void (*)(const float* from, std::uint16_t* to, std::size_t count);

// What a kernel needs to know of an element type; `narrow` is nullptr where the results are what is wanted.
template <class Element>
struct Functions {
    PoolFunction<Element> pool;
    PoolBlocksFunction<Element> pool_blocks;
    Narrow narrow;
};

// One call, shared by the threads that pool its blocks of patches.
template <class Element>
struct Job {
    Functions<Element> functions;
    const Inputs& inputs;
    const Outputs& outputs;
    const float* shares;        // [T], or nullptr
    float *temporal, *spatial;  // fp32 results: the outputs themselves, or scratch
    float* further_sums;        // [blocks - 1, T, D]: the sums over patches of all blocks but the first
};

void narrow_rows(Narrow narrow, const float* from, void* to, std::size_t first, std::size_t last, std::size_t width) {
    if (narrow) narrow(from + first * width, static_cast<std::uint16_t*>(to) + first * width, (last - first) * width);
}

template <class Element>
void pool_block(void* data, std::size_t block) {
    const Job<Element>& job = *static_cast<const Job<Element>*>(data);
    const ClipShape shape = job.inputs.shape;
    const std::size_t num_blocks = num_patch_blocks(shape.num_patches);
    float* sums = block == 0 ? job.spatial : job.further_sums + (block - 1) * shape.num_frames * shape.width;
    job.functions.pool_blocks(static_cast<const Element*>(job.inputs.features), shape, {block, block + 1}, job.shares,
                              job.temporal, {sums, 0});
    narrow_rows(job.functions.narrow, job.temporal, job.outputs.temporal, shape.num_patches * block / num_blocks,
                shape.num_patches * (block + 1) / num_blocks, shape.width);
}

class CpuKernel {
  public:
    static constexpr const char* kExecutionProvider = nullptr;  // ONNX Runtime's word for the CPU

    explicit CpuKernel(const OrtKernelInfo* info) {
        OrtAllocator* allocator = nullptr;
        Ort::ThrowOnError(Ort::GetApi().KernelInfoGetAllocator(info, OrtMemTypeDefault, &allocator));
        allocator_.reset(allocator);
    }

    OrtStatusPtr ComputeV2(OrtKernelContext* context) {
        count_call(Provider::kCpu);
        return guarded([this, context] { compute(context); });
    }

  private:
    void compute(OrtKernelContext* context) {
        const Kernels& kernels = *supported_kernels().front();
        const Inputs inputs = read_inputs(context);
        switch (inputs.element) {
            case ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT:
                return pool<float>(context, inputs, {kernels.pool_f32, kernels.pool_blocks_f32, nullptr});
            case ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16:
                return pool<Half>(context, inputs, {kernels.pool_f16, kernels.pool_blocks_f16, narrow_to_float16});
            case ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16:
                return pool<BFloat16>(context, inputs,
                                      {kernels.pool_bf16, kernels.pool_blocks_bf16, narrow_to_bfloat16});
            default:
                throw refused_element(inputs.element, "float32 (1), float16 (10) and bfloat16 (16)");
        }
    }

    // Threads take blocks of patches: a row that two processors read in halves would be fetched nearly twice.
    template <class Element>
    void pool(OrtKernelContext* context, const Inputs& inputs, Functions<Element> functions) {
        const ClipShape shape = inputs.shape;
        const std::size_t temporal_size = shape.num_patches * shape.width;
        const std::size_t spatial_size = shape.num_frames * shape.width;
        const bool is_shared = shape.num_frames * temporal_size * sizeof(Element) >= kMinBytesToShare;
        const std::size_t num_further = is_shared ? num_patch_blocks(shape.num_patches) - 1 : 0;
        const std::size_t results_size = functions.narrow ? temporal_size + spatial_size : 0;
        const std::size_t num_shares = inputs.weights ? shape.num_frames : 0;
        const Numbers scratch = allocate(allocator_.get(), results_size + num_further * spatial_size + num_shares);
        float* const further_sums = scratch.get() + results_size;
        float* const shares = inputs.weights ? further_sums + num_further * spatial_size : nullptr;
        if (shares) normalize(inputs.weights, shape.num_frames, shares);
        const Outputs outputs = make_outputs(context, shape);
        float* const temporal = functions.narrow ? scratch.get() : static_cast<float*>(outputs.temporal);
        float* const spatial = functions.narrow ? temporal + temporal_size : static_cast<float*>(outputs.spatial);
        if (num_further > 0) {
            Job<Element> job{functions, inputs, outputs, shares, temporal, spatial, further_sums};
            Ort::ThrowOnError(
                Ort::GetApi().KernelContext_ParallelFor(context, pool_block<Element>, num_further + 1, 0, &job));
            std::array<const float*, kMaxPatchBlocks> further{};
            for (std::size_t i = 0; i < num_further; ++i) further[i] = further_sums + i * spatial_size;
            supported_kernels().front()->finish(spatial, spatial_size, further.data(), num_further, shape.num_patches);
        } else {
            functions.pool(static_cast<const Element*>(inputs.features), shape, {0, shape.width}, shares, temporal,
                           spatial);
            narrow_rows(functions.narrow, temporal, outputs.temporal, 0, shape.num_patches, shape.width);
        }
        narrow_rows(functions.narrow, spatial, outputs.spatial, 0, shape.num_frames, shape.width);
    }

    Allocator allocator_;
};

}  // namespace

const OrtCustomOp& cpu_op() {
    static const PoolOp<CpuKernel> op;
    return op;
}

}  // namespace redvillm::ort
