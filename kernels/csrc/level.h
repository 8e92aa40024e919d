// Compiles every kernel once for the level that the including file names: REDVILLM_LEVEL (a namespace) and, on x86-64,
// the target attribute around this include. The attribute covers only what is below, so no standard library function is
// ever compiled for a processor that may be absent. The headers have no guards for this reason; one file includes them
// once.

// clang-format off: the order is that of use
#include "lanes.h"
#include "columns.h"
#include "pooling.h"
#include "window.h"
#include "reading.h"
// clang-format on

namespace redvillm {
namespace REDVILLM_LEVEL {

extern const Kernels kernels;
const Kernels kernels{REDVILLM_LEVEL_NAME, pool<float>,           pool<Half>, pool<BFloat16>, pool_blocks<float>,
                      pool_blocks<Half>,   pool_blocks<BFloat16>, finish,     energy<float>,  energy<Half>,
                      energy<BFloat16>,    push<float>,           push<Half>, push<BFloat16>, read};

}  // namespace REDVILLM_LEVEL
}  // namespace redvillm
