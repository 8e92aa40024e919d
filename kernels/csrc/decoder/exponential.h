// e^x for sixteen numbers, the same bits at every level. Included once per level; no include guard: see level.h.

namespace redvillm {
namespace REDVILLM_LEVEL {

inline constexpr float kRoundingShift =
    12582912.0f;  // 1.5 * 2^23: added, it leaves the nearest whole number in the last bits

// Within 2 units in the last place for x in -87 .. 88; outside, the value at that limit. NaN stays NaN.
// x = n log 2 + r: e^x is 2^n, made of exponent bits, times the Taylor polynomial of e^r, |r| <= 0.35.
inline Lanes exponential(Lanes x) {
    constexpr float kCoefficients[] = {1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f};
    for (Part& part : x.parts) {
        using Ints = std::int32_t __attribute__((vector_size(kRegisterBytes)));
        part = part < -87.0f ? Part{} - 87.0f : part;
        part = part > 88.0f ? Part{} + 88.0f : part;
        const Part shifted = part * 1.44269504f + kRoundingShift;
        const Part whole = shifted - kRoundingShift;
        // log 2 in two parts: the first has so few bits that its product with n is exact
        const Part rest = (part - whole * 0.693359375f) - whole * -2.12194440e-4f;
        Part value = Part{} + 1.0f / 5040;
        for (float coefficient : kCoefficients) value = value * rest + coefficient;
        const Ints exponent = (reinterpret_cast<Ints>(shifted) - 0x4b400000 + 127) << 23;
        part = value * reinterpret_cast<Part>(exponent);
    }
    return x;
}

}  // namespace REDVILLM_LEVEL
}  // namespace redvillm
