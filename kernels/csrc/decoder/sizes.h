// Sizes of tiles, by the registers of a CPU level. Included once per level; no include guard: see level.h.

namespace redvillm {
namespace REDVILLM_LEVEL {

// kTileTokens sums of sixteen outputs, or kPatchRows * kPatchVectors, stay in registers with room for the operands:
// 32 registers of sixteen numbers, 16 of eight, 16 of four.
#if defined(REDVILLM_LEVEL_AVX512)
inline constexpr std::size_t kTileTokens = 12, kPatchRows = 12, kPatchVectors = 2;
#elif defined(REDVILLM_LEVEL_AVX2)
inline constexpr std::size_t kTileTokens = 4, kPatchRows = 6, kPatchVectors = 1;
#else
inline constexpr std::size_t kTileTokens = 2, kPatchRows = 3, kPatchVectors = 1;
#endif
inline constexpr std::size_t kChains = 4;
inline constexpr std::size_t kLargestHeadWidth = 256;

}  // namespace REDVILLM_LEVEL
}  // namespace redvillm
