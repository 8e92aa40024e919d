// The kernels as plain functions over plain pointers, one set per CPU level.
// Knows shapes and pointers; does not know Python, ONNX Runtime or any framework. Nothing here allocates, throws or
// keeps state.
//
// All arrays are row-major and contiguous. Inputs are fp32 or fp16, all accumulation is fp32 or wider, outputs are
// fp32. Every level adds the same numbers in the same order, so all levels give the same bits.
#pragma once

#include <cstddef>
#include <vector>

#include "half.h"

namespace redvillm {

struct ClipShape {
    std::size_t num_frames;   // T, at least 1
    std::size_t num_patches;  // N, at least 1
    std::size_t width;        // D, at least 1
};

// Some of the columns 0 .. D - 1. Threads share a clip by columns: the results do not depend on the split.
struct ColumnRange {
    std::size_t begin, end;
};

// Both means of x [T, N, D] in one read of x, for the given columns; no other column of the results is touched:
//     temporal[n, d] = sum_t weights[t] * x[t, n, d]    weights [T] sum to 1; nullptr stands for the plain mean
//     spatial[t, d]  = sum_n x[t, n, d] / N
template <class Element>
using PoolFunction = void (*)(const Element* x, ClipShape shape, ColumnRange columns, const float* weights,
                              float* temporal, float* spatial);

// energy[t - 1, n] = mean over d of (x[t, n, d] - x[t - 1, n, d])^2, for t = 1 .. T - 1.
template <class Element>
using EnergyFunction = void (*)(const Element* x, ClipShape shape, float* energy);

// What one frame changes in a window of T frames that are kept as fp16.
struct WindowBuffers {
    Half* slot;            // [N, D] receives the frame, rounded to fp16
    const Half* oldest;    // [N, D] the frame that leaves the window; nullptr while the window fills
    const Half* previous;  // [N, D] the frame before this one; nullptr at the first frame
    double* sums;          // [N, D] sum of the window, updated: exact, because fp16 values fill 40 of the 53 bits
    float* spatial;        // [D] receives the frame's mean over N
    float* energy;         // [N] receives the frame's energy against `previous`; zeros without one
};

// Pushes one frame. Returns false if the frame holds a value that is not finite in fp16; `sums` is then to be rebuilt.
template <class Element>
using PushFunction = bool (*)(const Element* frame, std::size_t num_patches, std::size_t width, WindowBuffers);

struct Kernels {
    const char* level;
    PoolFunction<float> pool_f32;
    PoolFunction<Half> pool_f16;
    EnergyFunction<float> energy_f32;
    EnergyFunction<Half> energy_f16;
    PushFunction<float> push_f32;
    PushFunction<Half> push_f16;
};

// The levels that this processor runs, fastest first; never empty.
const std::vector<const Kernels*>& supported_kernels();

}  // namespace redvillm
