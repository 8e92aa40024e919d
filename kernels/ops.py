"""The kernels for whole clips: checks the arguments, then runs the native module or the reference, as asked.

The choice is visible: `backend` is "native", "reference" or None, which means native; a missing native module is an error.
Features are C-contiguous numpy arrays, or anything with `__dlpack__` in the processor's memory (torch tensors, onnxruntime OrtValues), of float32,
float16 or bfloat16 (ml_dtypes' in numpy); they are read in place. `threads` is 1 to MAX_THREADS, and the results have the same bits for any number:
the native threads wait without spinning, may serve several callers at once, and outlive a fork; the reference runs in one thread whatever is asked.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from redvillm.errors import OptionsError
from redvillm.kernels import reference
from redvillm.kernels.arrays import read_features
from redvillm.kernels.backend import Backend, choose_backend, load_native
from redvillm.kernels.checks import FLOAT32, check_array, check_count, check_output, check_weights
from redvillm.kernels.reference import FloatArray

MAX_THREADS = 8  # as in csrc/workers.h: two or three threads already read as fast as most memories deliver


def spatio_temporal_pool(
    x: Any,
    weights: FloatArray | None = None,
    *,
    out: tuple[FloatArray, FloatArray] | None = None,
    backend: Backend | None = None,
    threads: int = 1,
) -> tuple[FloatArray, FloatArray]:
    """Return both means of the patch features of a clip, in one read of them.

        temporal_pooling[n, d] = sum_t w[t] x[t, n, d] / sum_t w[t]    w = 1 without weights
        spatial_pooling[t, d]  = sum_n x[t, n, d] / N

    Source: RED-VILLM (arXiv 2404.11865), temporal and spatial pooling; the weights are an addition.

    Args:
        x: patch features [T, N, D]; accumulated in float32.
        weights: one per frame, float32 [T], finite, >= 0, sum > 0. They act on the temporal pooling only. A frame of weight
            zero adds nothing, provided that its features are finite.
        out: float32 arrays ([N, D], [T, D]) to write into and return; the native backend then allocates nothing, but for what its threads keep.
        backend: see the module.
        threads: see the module. More than one pays for clips of some megabytes; at most min(8, N / 32, rounded up) find work.

    Returns:
        temporal_pooling [N, D] and spatial_pooling [T, D], float32. Values that are not finite spread as in any sum.

    Raises:
        OptionsError: an argument of another type, dtype, shape, layout or device, or illegal weights.
        BackendError: the native module is missing.
    """
    x = read_features("x", x, ("T", "N", "D"))
    _check_threads(threads)
    num_frames, num_patches, width = x.shape
    if weights is not None:
        check_weights(weights, num_frames)
    temporal_pooling, spatial_pooling = _pool_outputs(x) if out is None else _checked_pair(out)
    check_output("out[0]", temporal_pooling, (num_patches, width), x)
    check_output("out[1]", spatial_pooling, (num_frames, width), x)
    if np.may_share_memory(temporal_pooling, spatial_pooling):
        raise OptionsError("out[0] and out[1] share memory; pass two separate buffers")
    if choose_backend(backend) == "native":
        shares = None if weights is None else reference.normalized(weights)
        load_native().pool(x, shares, temporal_pooling, spatial_pooling, None, threads)
    else:
        temporal_pooling[:], spatial_pooling[:] = reference.spatio_temporal_pool(x, weights)
    return temporal_pooling, spatial_pooling


def frame_energy(x: Any, *, out: FloatArray | None = None, backend: Backend | None = None, threads: int = 1) -> FloatArray:
    """Return how much each patch changed from frame to frame: the mean over D of (x[t] - x[t - 1])^2, for t = 1 .. T - 1.

    Args:
        x: patch features [T, N, D]; accumulated in float32.
        out: float32 array [T - 1, N] to write into and return.
        backend: see the module.
        threads: see the module.

    Returns:
        frame energy [T - 1, N], float32; it has no rows when T is 1.

    Raises:
        OptionsError: an argument of another type, dtype, shape, layout or device.
        BackendError: the native module is missing.
    """
    x = read_features("x", x, ("T", "N", "D"))
    _check_threads(threads)
    sizes = (x.shape[0] - 1, x.shape[1])
    energy = np.empty(sizes, np.float32) if out is None else out
    check_output("out", energy, sizes, x)
    if choose_backend(backend) == "native":
        load_native().frame_energy(x, energy, None, threads)
    else:
        energy[:] = reference.frame_energy(x)
    return energy


def motion_energy(energy: FloatArray, num_segments: int) -> FloatArray:
    """Average the frame energy over M segments of time.

    Row j of the R rows belongs to segment floor(j M / R); a segment is the mean of its rows, zeros when it has none. There is
    one implementation, in numpy: R x N is a few hundred numbers.

    Args:
        energy: frame energy, float32 [R, N], R = T - 1 >= 0.
        num_segments: M >= 0.

    Returns:
        motion_energy [M, N], float32.

    Raises:
        OptionsError: an argument of another type, dtype, shape or layout.
    """
    check_count("num_segments", num_segments, 0)
    num_rows = energy.shape[0] if isinstance(energy, np.ndarray) and energy.ndim == 2 else "T - 1"
    check_array("energy", energy, (num_rows, "N"), FLOAT32)
    return reference.motion_energy(energy, num_segments)


def _check_threads(threads: Any) -> None:
    if threads != 1:
        check_count("threads", threads, 1, MAX_THREADS)


def _pool_outputs(x: npt.NDArray[Any]) -> tuple[FloatArray, FloatArray]:
    num_frames, num_patches, width = x.shape
    return np.empty((num_patches, width), np.float32), np.empty((num_frames, width), np.float32)


def _checked_pair(out: Any) -> tuple[FloatArray, FloatArray]:
    if not isinstance(out, tuple) or len(out) != 2:
        raise OptionsError("out must be a pair of float32 arrays, temporal_pooling [N, D] and spatial_pooling [T, D]")
    return out
