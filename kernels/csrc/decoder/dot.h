// Sums of codes (0 .. 255) times signed bytes for sixteen rows, for one CPU level. All sums are exact.
// Included once per level; no include guard: see level.h.

namespace redvillm {
namespace REDVILLM_LEVEL {

inline constexpr std::size_t kGroupBytes = kTileRows * kGroupInputs;
inline constexpr std::size_t kGroupsPerBlock = kBlockInputs / kGroupInputs;

using BytePart = std::uint8_t __attribute__((vector_size(kRegisterBytes)));
using IntPart = std::int32_t __attribute__((vector_size(kRegisterBytes)));

// Codes of sixteen rows, four neighbouring inputs each.
struct Group {
    BytePart parts[kParts];
};

inline Group load_group(const std::uint8_t* from) {
    Group group;
    for (std::size_t i = 0; i < kParts; ++i) std::memcpy(&group.parts[i], from + i * kRegisterBytes, kRegisterBytes);
    return group;
}

inline Group low_halves(const Group& pairs) {
    Group group;
    for (std::size_t i = 0; i < kParts; ++i) group.parts[i] = pairs.parts[i] & 15;
    return group;
}

inline Group high_halves(const Group& pairs) {
    Group group;
    for (std::size_t i = 0; i < kParts; ++i) {
        // a shift of wider numbers, which every processor has, and a mask against what came over from the neighbours
        using Wide = std::uint32_t __attribute__((vector_size(kRegisterBytes)));
        group.parts[i] = reinterpret_cast<BytePart>(reinterpret_cast<Wide>(pairs.parts[i]) >> 4) & 15;
    }
    return group;
}

#if defined(REDVILLM_LEVEL_VNNI)

// One instruction multiplies unsigned by signed bytes and adds four products to a sum of 32 bits.
template <unsigned kBits>
struct BlockDot {
    IntPart parts[kParts] = {};

    void add(const Group& codes, const std::int8_t* inputs) {
        std::int32_t four;
        std::memcpy(&four, inputs, sizeof four);
        for (std::size_t i = 0; i < kParts; ++i) parts[i] = multiply_add(parts[i], codes.parts[i], four);
    }

    Lanes sums() const {
        Lanes lanes;
        for (std::size_t i = 0; i < kParts; ++i) lanes.parts[i] = __builtin_convertvector(parts[i], Part);
        return lanes;
    }

  private:
    #if defined(REDVILLM_LEVEL_AVX512)
    static IntPart multiply_add(IntPart sum, BytePart codes, std::int32_t four) {
        return reinterpret_cast<IntPart>(_mm512_dpbusd_epi32(
            reinterpret_cast<__m512i>(sum), reinterpret_cast<__m512i>(codes), _mm512_set1_epi32(four)));
    }
    #else
    static IntPart multiply_add(IntPart sum, BytePart codes, std::int32_t four) {
        return reinterpret_cast<IntPart>(_mm256_dpbusd_avx_epi32(
            reinterpret_cast<__m256i>(sum), reinterpret_cast<__m256i>(codes), _mm256_set1_epi32(four)));
    }
    #endif
};

#elif defined(REDVILLM_LEVEL_AVX512) || defined(REDVILLM_LEVEL_AVX2)

// Pairs of products are summed in 16 bits, which saturate. Codes of 4 bits stay below: 8 groups of two products of at
// most 15 * 127 are 30480. Codes of 8 bits are taken as two of 4.
using ShortPart = std::int16_t __attribute__((vector_size(kRegisterBytes)));

struct HalfDot {
    ShortPart parts[kParts] = {};

    void add(const Group& codes, const std::int8_t* inputs) {
        std::int32_t four;
        std::memcpy(&four, inputs, sizeof four);
        for (std::size_t i = 0; i < kParts; ++i) parts[i] += pair_products(codes.parts[i], four);
    }

    #if defined(REDVILLM_LEVEL_AVX512)
    static ShortPart pair_products(BytePart codes, std::int32_t four) {
        return reinterpret_cast<ShortPart>(
            _mm512_maddubs_epi16(reinterpret_cast<__m512i>(codes), _mm512_set1_epi32(four)));
    }
    IntPart part(std::size_t i) const {
        return reinterpret_cast<IntPart>(_mm512_madd_epi16(reinterpret_cast<__m512i>(parts[i]), _mm512_set1_epi16(1)));
    }
    #else
    static ShortPart pair_products(BytePart codes, std::int32_t four) {
        return reinterpret_cast<ShortPart>(
            _mm256_maddubs_epi16(reinterpret_cast<__m256i>(codes), _mm256_set1_epi32(four)));
    }
    IntPart part(std::size_t i) const {
        return reinterpret_cast<IntPart>(_mm256_madd_epi16(reinterpret_cast<__m256i>(parts[i]), _mm256_set1_epi16(1)));
    }
    #endif
};

template <unsigned kBits>
struct BlockDot {
    HalfDot low, high;

    void add(const Group& codes, const std::int8_t* inputs) {
        if constexpr (kBits == 4) return low.add(codes, inputs);
        low.add(low_halves(codes), inputs);
        high.add(high_halves(codes), inputs);
    }

    Lanes sums() const {
        Lanes lanes;
        for (std::size_t i = 0; i < kParts; ++i) {
            IntPart sum = low.part(i);
            if constexpr (kBits == 8) sum += high.part(i) * 16;
            lanes.parts[i] = __builtin_convertvector(sum, Part);
        }
        return lanes;
    }
};

#else

template <unsigned kBits>
struct BlockDot {
    std::int32_t rows[kTileRows] = {};

    void add(const Group& codes, const std::int8_t* inputs) {
        std::uint8_t bytes[kGroupBytes];
        std::memcpy(bytes, &codes, sizeof bytes);
        for (std::size_t row = 0; row < kTileRows; ++row)
            for (std::size_t i = 0; i < kGroupInputs; ++i) rows[row] += bytes[row * kGroupInputs + i] * inputs[i];
    }

    Lanes sums() const {
        float values[kTileRows];
        for (std::size_t row = 0; row < kTileRows; ++row) values[row] = static_cast<float>(rows[row]);
        return load(values);
    }
};

#endif

}  // namespace REDVILLM_LEVEL
}  // namespace redvillm
