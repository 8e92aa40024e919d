// Chooses how many threads and blocks a kernel gets. Host code without CUDA, so any compiler can test it.
//
// The plan depends on the sizes and the element type alone, never on the device: the order of every sum follows from
// it, so all devices add the same numbers in the same order.
#pragma once

#include <cstdint>

namespace redvillm {
namespace cuda {

constexpr int kWarpThreads = 32;
constexpr int kMaxPoolThreads = 384;
constexpr int kSharedBytes = 48 * 1024;  // what every device grants a block without being asked
constexpr int kSlabBytes = 32;           // one sector of memory: a narrower slab reads sectors that it shares
constexpr int kManyBlocks = 64;          // fewer blocks than this are made narrower, and so more
constexpr std::int64_t kMaxSize = std::int64_t{1} << 30;
constexpr std::int64_t kMaxFrameSize = (std::int64_t{1} << 31) - 1;  // N * D

// The kernels that exist for one element type: elements per read, rows per thread, frames per barrier.
struct PoolShape {
    int vector, rows, frames;
};
constexpr PoolShape kPoolShapesFloat32[] = {{4, 1, 4}, {4, 4, 1}, {4, 8, 1}, {1, 4, 4}, {1, 16, 1}};
constexpr PoolShape kPoolShapesFloat16[] = {{8, 1, 4}, {8, 4, 1}, {8, 6, 1}, {1, 4, 4}, {1, 16, 1}};
constexpr int kNumPoolShapes = 5;

struct PoolPlan {
    int shape = -1;  // index of the PoolShape; -1: no kernel holds such a clip
    int column_groups = 0;
    int num_blocks = 0;
    int num_threads = 0;
    int shared_bytes = 0;
};

constexpr std::int64_t ceil_div(std::int64_t a, std::int64_t b) {
    return (a + b - 1) / b;
}

// Floats of shared memory of pool_slab: two times the sums of `frames` frames per warp and column, and with chunks of
// rows the spatial sums of all frames.
constexpr std::int64_t pool_shared_floats(PoolShape shape, int column_groups, int num_threads, bool has_chunks,
                                          std::int64_t num_frames) {
    const std::int64_t slab_width = column_groups * shape.vector;
    return slab_width * (2 * shape.frames * (num_threads / kWarpThreads) + (has_chunks ? num_frames : 0));
}

// Fits a slab of `column_groups` with the first of `shapes` of this vector that holds all rows; if none does, with the
// last and in chunks. Returns no kernel if shared memory does not suffice.
inline PoolPlan plan_slab(const PoolShape* shapes, int vector, int column_groups, std::int64_t num_frames,
                          std::int64_t num_patches, std::int64_t width) {
    PoolPlan plan;
    bool has_chunks = true;
    for (int i = 0; i < kNumPoolShapes && has_chunks; ++i) {
        if (shapes[i].vector != vector) continue;
        plan.shape = i;
        has_chunks = ceil_div(num_patches, shapes[i].rows) * column_groups > kMaxPoolThreads;
    }
    const PoolShape& shape = shapes[plan.shape];
    const std::int64_t threads = has_chunks ? kMaxPoolThreads : ceil_div(num_patches, shape.rows) * column_groups;
    plan.column_groups = column_groups;
    plan.num_threads = static_cast<int>(ceil_div(threads, kWarpThreads)) * kWarpThreads;
    plan.num_blocks = static_cast<int>(ceil_div(width, column_groups * vector));
    const std::int64_t bytes = pool_shared_floats(shape, column_groups, plan.num_threads, has_chunks, num_frames) * 4;
    if (bytes > kSharedBytes) return {};
    plan.shared_bytes = static_cast<int>(bytes);
    return plan;
}

// The widest slab that fits, of 32 bytes at most; of 16 if there would be fewer than kManyBlocks blocks otherwise.
inline PoolPlan plan_slabs(const PoolShape* shapes, int vector, int element_bytes, std::int64_t num_frames,
                           std::int64_t num_patches, std::int64_t width) {
    int groups = kSlabBytes / element_bytes / vector;
    if (ceil_div(width, groups * vector) < kManyBlocks) groups /= 2;
    while (groups > 1 && groups / 2 * vector >= width) groups /= 2;
    for (; groups; groups /= 2) {
        const PoolPlan plan = plan_slab(shapes, vector, groups, num_frames, num_patches, width);
        if (plan.shape >= 0) return plan;
    }
    return {};
}

// `element_bytes` is 4 or 2; `is_aligned`: x and temporal begin at a multiple of 16 bytes.
inline PoolPlan plan_pool(std::int64_t num_frames, std::int64_t num_patches, std::int64_t width, int element_bytes,
                          bool is_aligned) {
    const PoolShape* shapes = element_bytes == 4 ? kPoolShapesFloat32 : kPoolShapesFloat16;
    const int vector = 16 / element_bytes;
    if (is_aligned && width % vector == 0) {
        const PoolPlan plan = plan_slabs(shapes, vector, element_bytes, num_frames, num_patches, width);
        if (plan.shape >= 0) return plan;
    }
    return plan_slabs(shapes, 1, element_bytes, num_frames, num_patches, width);
}

// A push into a window: the first `num_row_blocks` blocks take a patch per warp, the others a slab of columns each.
constexpr int kPushThreads = 128;
constexpr int kPushVector = 4;
constexpr int kPushSlabWidth = 16;

struct PushPlan {
    int num_row_blocks, num_blocks, shared_bytes;
};

inline PushPlan plan_push(std::int64_t num_patches, std::int64_t width) {
    constexpr int kWarps = kPushThreads / kWarpThreads;
    const int num_row_blocks = static_cast<int>(ceil_div(num_patches, kWarps));
    const int num_slabs = static_cast<int>(ceil_div(width, kPushSlabWidth));
    return {num_row_blocks, num_row_blocks + num_slabs, kWarps * kPushSlabWidth * 4};
}

}  // namespace cuda
}  // namespace redvillm
