// SpatioTemporalPool on ONNX Runtime's CPU provider: the kernels of redvillm, on the threads that ONNX Runtime has.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>

#include "narrow.h"
#include "pool_op.h"
#include "tensors.h"
#include "threads.h"

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

// One call, shared by the threads that compute its parts.
struct Job {
    const Kernels& kernels;
    const Inputs& inputs;
    const Outputs& outputs;
    const float* shares;        // [T], or nullptr
    float *temporal, *spatial;  // fp32 results: the outputs themselves, or scratch
    std::size_t columns_per_part;
    std::array<std::thread::id, kMaxParts> ran_on;  // by part
};

std::size_t bytes_of(ONNXTensorElementDataType element) {
    return element == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT ? sizeof(float) : sizeof(std::uint16_t);
}

using Narrow = void (*)(const float* from, std::uint16_t* to, std::size_t count);

void narrow_columns(Narrow narrow, const float* from, void* to, std::size_t num_rows, std::size_t width,
                    ColumnRange columns) {
    for (std::size_t row = 0; row < num_rows; ++row) {
        const std::size_t first = row * width + columns.begin;
        narrow(from + first, static_cast<std::uint16_t*>(to) + first, columns.end - columns.begin);
    }
}

template <class Element>
void pool_columns(const Job& job, ColumnRange columns, PoolFunction<Element> pool, Narrow narrow) {
    const ClipShape shape = job.inputs.shape;
    pool(static_cast<const Element*>(job.inputs.features), shape, columns, job.shares, job.temporal, job.spatial);
    if (!narrow) return;
    narrow_columns(narrow, job.temporal, job.outputs.temporal, shape.num_patches, shape.width, columns);
    narrow_columns(narrow, job.spatial, job.outputs.spatial, shape.num_frames, shape.width, columns);
}

void run_part(void* data, std::size_t part) {
    Job& job = *static_cast<Job*>(data);
    job.ran_on[part] = std::this_thread::get_id();
    const std::size_t begin = part * job.columns_per_part;
    const ColumnRange columns{begin, std::min(begin + job.columns_per_part, job.inputs.shape.width)};
    switch (job.inputs.element) {
        case ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16:
            return pool_columns<Half>(job, columns, job.kernels.pool_f16, narrow_to_float16);
#if defined(REDVILLM_ORT_BFLOAT16)
        case ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16:
            return pool_columns<BFloat16>(job, columns, job.kernels.pool_bf16, narrow_to_bfloat16);
#endif
        default:
            return pool_columns<float>(job, columns, job.kernels.pool_f32, nullptr);
    }
}

#if defined(REDVILLM_ORT_BFLOAT16)
constexpr bool kHasBFloat16 = true;
constexpr const char* kLegalElements = "float32 (1), float16 (10) and bfloat16 (16)";
#else
constexpr bool kHasBFloat16 = false;
constexpr const char* kLegalElements = "float32 (1) and float16 (10)";
#endif

bool is_supported(ONNXTensorElementDataType element) {
    return element == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT || element == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16 ||
           (kHasBFloat16 && element == ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16);
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
        const Inputs inputs = read_inputs(context);
        if (!is_supported(inputs.element)) throw refused_element(inputs.element, kLegalElements);
        const ClipShape shape = inputs.shape;
        const bool has_scratch = inputs.element != ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
        const std::size_t temporal_size = has_scratch ? shape.num_patches * shape.width : 0;
        const std::size_t spatial_size = has_scratch ? shape.num_frames * shape.width : 0;
        const std::size_t num_shares = inputs.weights ? shape.num_frames : 0;
        const Numbers scratch = allocate(allocator_.get(), temporal_size + spatial_size + num_shares);
        float* const shares = inputs.weights ? scratch.get() + temporal_size + spatial_size : nullptr;
        if (shares) normalize(inputs.weights, shape.num_frames, shares);
        const Outputs outputs = make_outputs(context, shape);
        Job job{*supported_kernels().front(), inputs, outputs, shares, nullptr, nullptr, 0, {}};
        job.temporal = has_scratch ? scratch.get() : static_cast<float*>(outputs.temporal);
        job.spatial = has_scratch ? scratch.get() + temporal_size : static_cast<float*>(outputs.spatial);
        run(context, job);
    }

    void run(OrtKernelContext* context, Job& job) {
        const ClipShape shape = job.inputs.shape;
        const std::size_t bytes = shape.num_frames * shape.num_patches * shape.width * bytes_of(job.inputs.element);
        job.columns_per_part = threads_.columns_per_part(shape.width, bytes);
        const std::size_t num_parts = (shape.width + job.columns_per_part - 1) / job.columns_per_part;
        if (num_parts == 1) return run_part(&job, 0);
        Ort::ThrowOnError(Ort::GetApi().KernelContext_ParallelFor(context, run_part, num_parts, 0, &job));
        threads_.learn(job.ran_on, num_parts);
    }

    Threads threads_;
    Allocator allocator_;
};

}  // namespace

const OrtCustomOp& cpu_op() {
    static const PoolOp<CpuKernel> op;
    return op;
}

}  // namespace redvillm::ort
