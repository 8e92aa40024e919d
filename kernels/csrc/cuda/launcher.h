/* The CUDA kernels behind plain C functions. Each checks its arguments, launches one kernel on the given stream and
   does not wait for it; nothing is allocated and no state is kept. All arrays are row-major, contiguous and on the
   device.

   Every function that launches returns 0, a negative number for an argument that is refused, or a cudaError_t. */
#ifndef REDVILLM_CUDA_LAUNCHER_H
#define REDVILLM_CUDA_LAUNCHER_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define REDVILLM_CUDA_ABI_VERSION 1

enum { REDVILLM_FLOAT32 = 0, REDVILLM_FLOAT16 = 1 };

enum {
    REDVILLM_ERROR_POINTER = -1,   /* a pointer that may not be null is null */
    REDVILLM_ERROR_ELEMENT = -2,   /* an element type other than the two above */
    REDVILLM_ERROR_SIZE = -3,      /* a size below 1 or above 2^30, or N * D above 2^31 - 1 */
    REDVILLM_ERROR_ALIGNMENT = -4, /* a pointer that is no multiple of its element's size */
    REDVILLM_ERROR_CAPACITY = -5,  /* so many frames of so many patches that no kernel holds their sums */
    REDVILLM_ERROR_NUM_FRAMES = -6 /* a window of fewer than 1 or more than 8192 frames */
};

int redvillm_cuda_abi_version(void);

/* Static text for what the functions below return. */
const char* redvillm_cuda_error_text(int status);

/* Both means of x [T, N, D]:
       temporal [N, D] = sum_t w_t x_t / sum_t w_t        spatial [T, D] = mean over N
   weights: float32 [T], as they are, or null for the plain mean. They are divided by their sum; a sum of zero gives
   NaN. temporal and spatial have the element type of x; accumulation is float32. Results repeat bit by bit.
   Any T with N up to 6144; any N with T up to 12264; above both, REDVILLM_ERROR_CAPACITY. */
int redvillm_cuda_pool(const void* x, int element, int64_t num_frames, int64_t num_patches, int64_t width,
                       const float* weights, void* temporal, void* spatial, void* stream);

/* The buffers of a live window of T frames that are kept as float16. */
typedef struct RedvillmCudaWindow {
    void* slot;           /* float16 [N, D], receives the frame, rounded; may be `oldest` (a ring of T slots) */
    const void* oldest;   /* float16 [N, D], the frame that leaves; null while the window fills */
    const void* previous; /* float16 [N, D], the frame before this one; null at the first (the energy is then zero) */
    int64_t* sums;        /* [N, D], in units of 2^-24, all zero before the first frame; exact */
    float* temporal;      /* [N, D], receives sums / num_frames, the temporal pooling of the window; null: not wanted */
    float* spatial;       /* [D], receives the frame's mean over N: finite exactly if the frame is, as float16 */
    float* energy;        /* [N], receives the mean over D of (frame - previous)^2 */
    int64_t num_frames;   /* in the window, this one included: 1 to 8192 */
} RedvillmCudaWindow;

/* One frame [N, D] into a window. A value that is not finite as float16 is kept in the slot, makes `spatial` and
   `energy` not finite where it has a part, and counts as zero in `sums`, so the window is whole again once it left. */
int redvillm_cuda_push(const void* frame, int element, int64_t num_patches, int64_t width,
                       const RedvillmCudaWindow* window, void* stream);

#ifdef __cplusplus
}
#endif
#endif
