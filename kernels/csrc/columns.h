// Walks a row in groups of sixteen columns, the last of them shorter. Included once per level; no include guard: see
// level.h.

namespace redvillm {
namespace REDVILLM_LEVEL {

// A group of at most 16 neighbouring columns; full groups compile to plain vector loads and stores, others go through a
// copy.
template <bool kFull>
struct Columns {
    std::size_t count;

    template <class Element>
    Lanes read(const Element* from) const {
        if constexpr (kFull) return load(from);
        Element padded[kLanes] = {};
        std::memcpy(padded, from, count * sizeof(Element));
        return load(padded);
    }

    template <class Element>
    void write(Element* to, const Lanes& lanes) const {
        if constexpr (kFull) return store(to, lanes);
        Element padded[kLanes];
        store(padded, lanes);
        std::memcpy(to, padded, count * sizeof(Element));
    }

    // sums += now - leaving, in double precision.
    void move(double* sums, const Lanes& now, const Lanes& leaving) const {
        if constexpr (kFull) return move_wide(sums, now, leaving);
        double padded[kLanes] = {};
        std::memcpy(padded, sums, count * sizeof(double));
        move_wide(padded, now, leaving);
        std::memcpy(sums, padded, count * sizeof(double));
    }
};

// Calls body(first column, columns) for every group of columns in [begin, end).
template <class Body>
inline void for_columns(std::size_t begin, std::size_t end, Body body) {
    std::size_t column = begin;
    for (; column + kLanes <= end; column += kLanes) body(column, Columns<true>{kLanes});
    if (column < end) body(column, Columns<false>{end - column});
}

}  // namespace REDVILLM_LEVEL
}  // namespace redvillm
