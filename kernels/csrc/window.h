// Frame energy, and the update of a window by one frame. Included once per level; no include guard: see level.h.

namespace redvillm {
namespace REDVILLM_LEVEL {

template <class Element>
inline float row_energy(const Element* now, const Element* before, std::size_t width) {
    Lanes squares = zero_lanes();
    for_columns(0, width, [&](std::size_t column, auto columns) {
        Lanes change = columns.read(now + column);
        change -= columns.read(before + column);
        squares += square_of(change);
    });
    return sum_of(squares) / static_cast<float>(width);
}

template <class Element>
void energy(const Element* x, ClipShape shape, RowRange rows, float* energy) {
    const std::size_t frame_size = shape.num_patches * shape.width;
    for (std::size_t row = rows.begin; row < rows.end; ++row) {
        const Element* before = x + row * shape.width;
        energy[row] = row_energy(before + frame_size, before, shape.width);
    }
}

// One patch of push(): everything that its D values change, in one read of them. Returns the patch's energy.
template <bool kLeaving, bool kPrevious, class Element>
inline float push_row(const Element* row, std::size_t width, WindowBuffers window, std::size_t offset) {
    Lanes squares = zero_lanes();
    for_columns(0, width, [&](std::size_t column, auto columns) {
        const std::size_t at = offset + column;
        columns.write(window.slot + at, columns.read(row + column));
        const Lanes now = columns.read(window.slot + at);
        const Lanes leaving = kLeaving ? columns.read(window.oldest + at) : zero_lanes();
        columns.move(window.sums + at, now, leaving);
        Lanes over_patches = columns.read(window.spatial + column);
        over_patches += now;
        columns.write(window.spatial + column, over_patches);
        if (kPrevious) {
            Lanes change = now;
            change -= columns.read(window.previous + at);
            squares += square_of(change);
        }
    });
    return sum_of(squares) / static_cast<float>(width);
}

template <bool kLeaving, bool kPrevious, class Element>
bool push_rows(const Element* frame, std::size_t num_patches, std::size_t width, WindowBuffers window) {
    for (std::size_t d = 0; d < width; ++d) window.spatial[d] = 0.0f;
    for (std::size_t n = 0; n < num_patches; ++n)
        window.energy[n] = push_row<kLeaving, kPrevious>(frame + n * width, width, window, n * width);
    // Finite halves cannot overflow an fp32 sum, so these D sums are finite exactly when the whole frame is.
    bool finite = true;
    for (std::size_t d = 0; d < width; ++d) {
        finite &= window.spatial[d] - window.spatial[d] == 0.0f;
        window.spatial[d] /= static_cast<float>(num_patches);
    }
    return finite;
}

template <class Element>
bool push(const Element* frame, std::size_t num_patches, std::size_t width, WindowBuffers window) {
    if (window.oldest && window.previous) return push_rows<true, true>(frame, num_patches, width, window);
    if (window.oldest) return push_rows<true, false>(frame, num_patches, width, window);
    if (window.previous) return push_rows<false, true>(frame, num_patches, width, window);
    return push_rows<false, false>(frame, num_patches, width, window);
}

}  // namespace REDVILLM_LEVEL
}  // namespace redvillm
