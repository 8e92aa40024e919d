// A small float32 matrix product: sums of a row are taken in the order of its columns, whatever the tiles.
// Included once per level; no include guard: see level.h.

namespace redvillm {
namespace REDVILLM_LEVEL {

// A [rows, depth] @ B [depth, columns] -> C [rows, columns]; strides in elements between rows.
template <class Element>
struct Product {
    const float* a;
    std::size_t a_stride;
    const Element* b;
    std::size_t b_stride;
    float* c;
    std::size_t c_stride;
    std::size_t depth;
};

template <std::size_t kRows, std::size_t kVectors, class Element>
inline void multiply_patch(const Product<Element>& product, std::size_t row, std::size_t column) {
    Lanes sums[kRows][kVectors] = {};
    const float* a = product.a + row * product.a_stride;
    const Element* b = product.b + column;
    for (std::size_t k = 0; k < product.depth; ++k) {
        Lanes columns[kVectors];
#pragma GCC unroll 4
        for (std::size_t j = 0; j < kVectors; ++j) columns[j] = load(b + k * product.b_stride + j * kLanes);
#pragma GCC unroll 12
        for (std::size_t i = 0; i < kRows; ++i) {
            const Lanes factor = spread(a[i * product.a_stride + k]);
#pragma GCC unroll 4
            for (std::size_t j = 0; j < kVectors; ++j) {
                Lanes term = columns[j];
                term *= factor;
                sums[i][j] += term;
            }
        }
    }
    for (std::size_t i = 0; i < kRows; ++i)
        for (std::size_t j = 0; j < kVectors; ++j)
            store(product.c + (row + i) * product.c_stride + column + j * kLanes, sums[i][j]);
}

template <std::size_t kRows, std::size_t kVectors, class Element>
inline void multiply_rows(const Product<Element>& product, std::size_t row, std::size_t num_columns) {
    std::size_t column = 0;
    for (; column + kVectors * kLanes <= num_columns; column += kVectors * kLanes)
        multiply_patch<kRows, kVectors>(product, row, column);
    for (; column < num_columns; column += kLanes) multiply_patch<kRows, 1>(product, row, column);
}

// num_columns is a multiple of 16.
template <class Element>
inline void multiply_matrices(const Product<Element>& product, std::size_t num_rows, std::size_t num_columns) {
    std::size_t row = 0;
    for (; row + kPatchRows <= num_rows; row += kPatchRows)
        multiply_rows<kPatchRows, kPatchVectors>(product, row, num_columns);
    for (; row + 3 <= num_rows; row += 3) multiply_rows<3, kPatchVectors>(product, row, num_columns);
    for (; row < num_rows; ++row) multiply_rows<1, kPatchVectors>(product, row, num_columns);
}

}  // namespace REDVILLM_LEVEL
}  // namespace redvillm
