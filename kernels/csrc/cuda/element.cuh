// Elements of fp32 and fp16: reading several at once, widening and rounding them.
// Knows types; does not know shapes.
#pragma once

#include <cuda_fp16.h>
#include <cuda_runtime.h>

namespace redvillm {
namespace cuda {

// kCount neighbouring elements, moved by one instruction when they fill 4, 8 or 16 bytes.
template <class Element, int kCount>
struct alignas(kCount * sizeof(Element)) Pack {
    Element values[kCount];
};

__device__ __forceinline__ float to_float(float value) {
    return value;
}
__device__ __forceinline__ float to_float(__half value) {
    return __half2float(value);
}

template <class Element>
__device__ __forceinline__ Element from_float(float value);
template <>
__device__ __forceinline__ float from_float<float>(float value) {
    return value;
}
template <>
__device__ __forceinline__ __half from_float<__half>(float value) {
    return __float2half_rn(value);
}

template <class Element, int kCount>
__device__ __forceinline__ Pack<Element, kCount> read_pack(const Element* from) {
    return *reinterpret_cast<const Pack<Element, kCount>*>(from);
}

template <class Element, int kCount>
__device__ __forceinline__ void write_pack(Element* to, const Pack<Element, kCount>& pack) {
    *reinterpret_cast<Pack<Element, kCount>*>(to) = pack;
}

template <class Element, int kCount>
__device__ __forceinline__ Pack<Element, kCount> zero_pack() {
    Pack<Element, kCount> pack;
#pragma unroll
    for (int v = 0; v < kCount; ++v) pack.values[v] = from_float<Element>(0.0f);
    return pack;
}

}  // namespace cuda
}  // namespace redvillm
