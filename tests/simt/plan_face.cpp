// The launch plan as a C function.

#include "launch_plan.h"

namespace plan = redvillm::cuda;

// out: vector, rows per thread, frames per barrier, column groups, blocks, threads, bytes of shared memory. Returns
// whether there is a kernel for these sizes.
extern "C" __attribute__((visibility("default"))) int simt_plan_pool(std::int64_t num_frames, std::int64_t num_patches,
                                                                     std::int64_t width, int element_bytes,
                                                                     int is_aligned, int* out) {
    const plan::PoolPlan chosen = plan::plan_pool(num_frames, num_patches, width, element_bytes, is_aligned != 0);
    if (chosen.shape < 0) return 0;
    const auto& shapes = element_bytes == 4 ? plan::kPoolShapesFloat32 : plan::kPoolShapesFloat16;
    const plan::PoolShape& shape = shapes[chosen.shape];
    const int values[] = {shape.vector,      shape.rows,         shape.frames,       chosen.column_groups,
                          chosen.num_blocks, chosen.num_threads, chosen.shared_bytes};
    for (int value : values) *out++ = value;
    return 1;
}

// out: blocks of rows, all blocks, threads, width of a slab, bytes of shared memory.
extern "C" __attribute__((visibility("default"))) void simt_plan_push(std::int64_t num_patches, std::int64_t width,
                                                                      int* out) {
    const plan::PushPlan chosen = plan::plan_push(num_patches, width);
    const int values[] = {chosen.num_row_blocks, chosen.num_blocks, plan::kPushThreads, plan::kPushSlabWidth,
                          chosen.shared_bytes};
    for (int value : values) *out++ = value;
}
