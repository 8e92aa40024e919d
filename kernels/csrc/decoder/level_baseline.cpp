// The decoder's kernels for the processor that the compiler targets by default: SSE2 on x86-64, NEON on AArch64.
#include <cstddef>
#include <cstring>
#include <utility>

#include "decoder_kernels.h"

#define REDVILLM_LEVEL decoder_baseline
#define REDVILLM_LEVEL_NAME "baseline"

#include "level.h"
