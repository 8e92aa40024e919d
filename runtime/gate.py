"""The duplicate gate: which frames are worth encoding.

A frame is compared with the last one that was encoded, so that a slow drift adds up and gets through. Knows pixels and times of frames; does not know
the window.
"""

from enum import StrEnum
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from redvillm.runtime.frame import Frame, time_of
from redvillm.runtime.opencv import load_cv2

FloatArray = npt.NDArray[np.float32]
DEFAULT_THRESHOLD = 12.0  # measured: see docs/streaming.md
_MAX_CELLS = 64  # per side
_CELL_PIXELS = 6  # a cell is the mean of at least so many rows and columns, which takes the noise away
_MAX_GAIN = 0.1
_MAX_OFFSET = 12.0
_COLOUR_WEIGHT = 0.5  # colour is coded more coarsely than brightness: it must change by twice as much


class Verdict(StrEnum):
    """What to do with a frame."""

    CHANGED = "changed"  # encode it: it looks different
    REFRESH = "refresh"  # encode it although it looks the same: the last time was long ago
    DUPLICATE = "duplicate"  # do not encode it


class Gate(Protocol):
    """Decides about one frame after the other, in order; one thread owns it."""

    def judge(self, frame: Frame) -> Verdict:
        """Return what to do with the frame; one that is not a duplicate will be encoded."""


class PassAllGate:
    """Lets every frame through."""

    def judge(self, frame: Frame) -> Verdict:  # noqa: ARG002
        """Return that it changed."""
        return Verdict.CHANGED


class ThumbnailGate:
    """Compares thumbnails of at most 64 x 64 cells.

    Gain and offset between the two thumbnails are fitted and taken out as far as a flickering lamp or an exposure control explains them (10 %, 12 of
    256 levels). What is left in the cell that changed most decides: one cell is about 0.02 % of the picture, so a small thing that moves counts, and
    noise, which is averaged in every cell, does not.
    """

    def __init__(self, *, threshold: float = DEFAULT_THRESHOLD, refresh_s: float = 30.0, by_clip_time: bool = False) -> None:
        """Make a gate that has seen nothing.

        Args:
            threshold: levels, of 256, by which a cell must differ.
            refresh_s: a frame is let through at least so often.
            by_clip_time: whether that is time of the clip instead of time of capture.
        """
        self._threshold = threshold
        self._refresh_s = refresh_s
        self._by_clip_time = by_clip_time
        self._reference: FloatArray | None = None
        self._encoded_s = 0.0

    def judge(self, frame: Frame) -> Verdict:
        """Return what to do with the frame; one that is not a duplicate becomes the one that the next are compared with."""
        cells = thumbnail(frame)
        time_s = time_of(frame, self._by_clip_time)
        reference = self._reference
        if reference is None or reference.shape != cells.shape or difference(cells, reference) > self._threshold:
            verdict = Verdict.CHANGED
        elif time_s - self._encoded_s >= self._refresh_s:
            verdict = Verdict.REFRESH
        else:
            return Verdict.DUPLICATE
        self._reference, self._encoded_s = cells, time_s
        return verdict


def thumbnail(frame: Frame) -> FloatArray:
    """Return the cells of a frame, float32 [rows, columns, 4]: the three colours and the brightness, 0 to 255."""
    cv2 = load_cv2()
    tall, wide = (max(-(-side // _MAX_CELLS), min(_CELL_PIXELS, side)) for side in frame.pixels.shape[:2])
    rows, columns = frame.pixels.shape[0] // tall, frame.pixels.shape[1] // wide
    # whole cells, for which OpenCV is four times as fast; less than one cell in all is left out at the borders
    top, left = (frame.pixels.shape[0] - rows * tall) // 2, (frame.pixels.shape[1] - columns * wide) // 2
    inside = frame.pixels[top : top + rows * tall, left : left + columns * wide]
    colours: Any = cv2.resize(inside, (columns, rows), interpolation=cv2.INTER_AREA).reshape(rows, columns, 3)
    brightness = cv2.cvtColor(colours, cv2.COLOR_BGR2GRAY if frame.is_bgr else cv2.COLOR_RGB2GRAY).reshape(rows, columns, 1)
    return np.concatenate([colours, brightness], axis=2, dtype=np.float32)


def difference(cells: FloatArray, reference: FloatArray) -> float:
    """Return by how many levels the cell that differs most does, after gain and offset; colours count half."""
    brightness, reference_brightness = cells[..., 3], reference[..., 3]
    mean, reference_mean = float(brightness.mean()), float(reference_brightness.mean())
    deviation = reference_brightness - reference_mean
    variance = float(np.square(deviation).mean())
    gain = float(((brightness - mean) * deviation).mean()) / variance if variance > 1.0 else 1.0
    gain = min(max(gain, 1.0 - _MAX_GAIN), 1.0 + _MAX_GAIN)
    offset = min(max(mean - gain * reference_mean, -_MAX_OFFSET), _MAX_OFFSET)
    residual = np.abs(cells - gain * reference - offset)
    return max(float(residual[..., 3].max()), _COLOUR_WEIGHT * float(residual[..., :3].max()))
