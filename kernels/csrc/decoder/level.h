// Compiles the kernels of a decoder once for the level that the including file names, as ../level.h does.

// clang-format off: the order is that of use
#include "../lanes.h"
#include "../columns.h"
#include "sizes.h"
#include "dot.h"
#include "reduce.h"
#include "exponential.h"
#include "quantize.h"
#include "linear.h"
#include "matmul.h"
#include "attention.h"
// clang-format on

namespace redvillm {
namespace REDVILLM_LEVEL {

extern const DecoderKernels decoder_kernels;
const DecoderKernels decoder_kernels{REDVILLM_LEVEL_NAME, kTileTokens, quantize, multiply, append, attend, join};

}  // namespace REDVILLM_LEVEL
}  // namespace redvillm
