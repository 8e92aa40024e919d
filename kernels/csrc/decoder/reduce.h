// One number to all lanes, and all lanes to one number. Included once per level; no include guard: see level.h.

namespace redvillm {
namespace REDVILLM_LEVEL {

// all_lanes without the addition of zero that its form costs.
inline Lanes spread(float value) {
    Lanes lanes;
    for (Part& part : lanes.parts) part = value - Part{};
    return lanes;
}

template <std::size_t kDistance, class Register, std::size_t... kIndices>
inline Register exchanged(Register values, std::index_sequence<kIndices...>) {
    constexpr IntPart order = {static_cast<std::int32_t>(kIndices ^ kDistance)...};
    return __builtin_shuffle(values, order);
}

// Joins all lanes of a register; every lane then holds the result.
template <std::size_t kDistance = kPartLanes / 2, class Register, class Operation>
inline Register joined_register(Register values, Operation operation) {
    if constexpr (kDistance == 0) {
        return values;
    } else {
        const Register other = exchanged<kDistance>(values, std::make_index_sequence<kPartLanes>());
        return joined_register<kDistance / 2>(operation(values, other), operation);
    }
}

// Joins sixteen lanes, those eight apart first, then four, two, one: in the same order at every level.
template <class Operation>
inline float joined(Lanes lanes, Operation operation) {
    for (std::size_t count = kParts / 2; count > 0; count /= 2)
        for (std::size_t i = 0; i < count; ++i) lanes.parts[i] = operation(lanes.parts[i], lanes.parts[i + count]);
    return joined_register(lanes.parts[0], operation)[0];
}

inline Part larger(Part a, Part b) {
    return a > b ? a : b;
}

inline Lanes larger(Lanes a, const Lanes& b) {
    return a.apply(b, [](Part x, Part y) { return larger(x, y); });
}

inline float largest_of(const Lanes& lanes) {
    return joined(lanes, [](Part a, Part b) { return larger(a, b); });
}

inline float total_of(const Lanes& lanes) {
    return joined(lanes, [](Part a, Part b) { return a + b; });
}

}  // namespace REDVILLM_LEVEL
}  // namespace redvillm
