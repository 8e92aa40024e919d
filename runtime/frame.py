"""One decoded frame and when it was captured.

Knows pixels and times; does not know where they came from or what will be done with them.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from redvillm.errors import SourceFormatError

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """Pixels with their times.

    Attributes:
        pixels: uint8 [height, width, 3].
        captured_s: when the frame was taken from its source, on the clock of `time.perf_counter`.
        clip_time_s: place of the frame in its clip, None for a source without one (a camera).
        is_bgr: channel order blue, green, red (as OpenCV decodes) instead of red, green, blue.
    """

    pixels: Pixels
    captured_s: float
    clip_time_s: float | None = None
    is_bgr: bool = False


def time_of(frame: Frame, by_clip_time: bool) -> float:
    """Return the time that counts: that of its capture, or its place in the clip if that is asked for and there is one; seconds."""
    return frame.clip_time_s if by_clip_time and frame.clip_time_s is not None else frame.captured_s


def check_pixels(value: Any) -> Pixels:
    """Return `value` if it is uint8 [height, width, 3] with at least one pixel.

    Raises:
        SourceFormatError: it is anything else.
    """
    if not isinstance(value, np.ndarray):
        raise SourceFormatError(f"a frame is a {type(value).__name__}; give numpy arrays, uint8 [height, width, 3], RGB")
    if value.dtype != np.uint8 or value.ndim != 3 or value.shape[2] != 3 or value.size == 0:
        raise SourceFormatError(f"a frame is {value.dtype} {list(value.shape)}; give uint8 [height, width, 3], RGB, with at least one pixel")
    return value
