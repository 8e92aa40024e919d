"""The specification of the kernels, in numpy: clear rather than fast.

Knows formulas; does not check arguments (redvillm.kernels.ops does) and does not know the native module.
Inputs are float32, float16, or uint16 with the bits of bfloat16; accumulation is float32 or wider, outputs are float32.

Source: RED-VILLM (arXiv 2404.11865), the section on temporal and spatial pooling of the patch features of a video. The per-frame
weights and the frame energy are additions of this project.
"""

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
Features = npt.NDArray[np.float32] | npt.NDArray[np.float16] | npt.NDArray[np.uint16]


def widen_bfloat16(features: Features) -> npt.NDArray[np.float32] | npt.NDArray[np.float16]:
    """Return uint16 as the float32 numbers whose upper halves they are, exactly; other features as they are."""
    if features.dtype != np.uint16:
        return features  # type: ignore[return-value]
    wide: npt.NDArray[np.float32] = (features.astype(np.uint32) << 16).view(np.float32)
    return wide


def spatio_temporal_pool(x: Features, weights: FloatArray | None = None) -> tuple[FloatArray, FloatArray]:
    """Return both means of the patch features of a clip.

        temporal_pooling[n, d] = sum_t w[t] x[t, n, d] / sum_t w[t]    w = 1 without weights
        spatial_pooling[t, d]  = sum_n x[t, n, d] / N

    Args:
        x: patch features [T, N, D].
        weights: one per frame [T], >= 0, sum > 0. They act on the temporal pooling only.

    Returns:
        temporal_pooling [N, D] and spatial_pooling [T, D], float32.
    """
    x = widen_bfloat16(x)
    spatial_pooling = x.mean(axis=1, dtype=np.float32)
    if weights is None:
        return x.mean(axis=0, dtype=np.float32), spatial_pooling
    temporal_pooling = np.zeros(x.shape[1:], np.float32)
    for frame, share in zip(x, normalized(weights), strict=True):
        temporal_pooling += frame.astype(np.float32) * share
    return temporal_pooling, spatial_pooling


def normalized(weights: FloatArray) -> FloatArray:
    """Return weights [T] divided by their sum, which is taken in float64."""
    wide = weights.astype(np.float64)
    shares: FloatArray = (wide / wide.sum()).astype(np.float32)
    return shares


def frame_energy(x: Features) -> FloatArray:
    """Return the frame energy [T - 1, N], float32, of patch features [T, N, D]: how much each patch changed.

    energy[t - 1, n] = mean over d of (x[t, n, d] - x[t - 1, n, d])^2
    """
    x = widen_bfloat16(x)
    energy = np.empty((x.shape[0] - 1, x.shape[1]), np.float32)
    for row, before, now in zip(energy, x[:-1], x[1:], strict=True):
        change = now.astype(np.float32) - before.astype(np.float32)
        np.mean(change * change, axis=1, out=row)
    return energy


def motion_energy(energy: FloatArray, num_segments: int) -> FloatArray:
    """Average the frame energy over M segments of time.

    Row j of the R rows belongs to segment floor(j M / R); a segment is the mean of its rows, zeros when it has none.

    Args:
        energy: frame energy [R, N], R = T - 1 >= 0.
        num_segments: M >= 0.

    Returns:
        motion_energy [M, N], float32.
    """
    num_rows = len(energy)
    motion = np.zeros((num_segments, energy.shape[1]), np.float32)
    segments = np.arange(num_rows) * num_segments // max(num_rows, 1)
    for segment in np.unique(segments) if num_segments else ():
        np.mean(energy[segments == segment], axis=0, out=motion[segment])
    return motion


def push(
    frame: Features,
    slot: npt.NDArray[np.float16],
    *,
    oldest: npt.NDArray[np.float16] | None,
    previous: npt.NDArray[np.float16] | None,
    sums: npt.NDArray[np.float64],
    spatial: FloatArray,
    energy: FloatArray,
) -> bool:
    """Push one frame into a window that keeps its frames as float16.

    The frame is rounded to float16 first; everything below is computed from the rounded values.

        slot = frame;  sums += frame - oldest;  spatial = mean of frame over N;  energy = mean over D of (frame - previous)^2

    Args:
        frame: patch features [N, D].
        slot: [N, D], receives the rounded frame.
        oldest: [N, D], the frame that leaves the window, or None while the window fills.
        previous: [N, D], the frame before this one, or None at the first frame (the energy is then zero).
        sums: [N, D], updated; exact for at most 8192 frames, because float16 values are multiples of 2^-24 below 2^16.
        spatial: [D], receives the spatial pooling of the frame.
        energy: [N], receives the frame energy.

    Returns:
        False if the frame holds a value that is not finite as float16; `sums` must then be rebuilt.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # what they would warn of is what the result tells
        slot[:] = widen_bfloat16(frame)
        rounded = slot.astype(np.float32)
        sums += rounded if oldest is None else rounded.astype(np.float64) - oldest
        np.mean(rounded, axis=0, out=spatial)
        energy[:] = 0.0 if previous is None else np.mean((rounded - previous.astype(np.float32)) ** 2, axis=1)
    return bool(np.isfinite(slot).all())
