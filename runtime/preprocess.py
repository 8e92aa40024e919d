"""Frames to the pixels that the vision encoder takes, as the manifest says: stretched or cropped, with one of four filters.

Knows resizing and channel order; normalisation is inside vision.onnx.
"""

import numpy as np

from redvillm.fitting import fit_with_pillow, load_pillow
from redvillm.manifest import FitSpec
from redvillm.runtime.frame import Frame, Pixels
from redvillm.runtime.opencv import load_cv2


def fit_frame(frame: Frame, spec: FitSpec) -> Pixels:
    """Return the frame as uint8 [height, width, 3], RGB, contiguous.

    Raises:
        BackendError: the filter is Pillow's and Pillow is missing.
    """
    if _needs_pillow(spec):
        return fit_with_pillow(_turned(frame.pixels, is_bgr=frame.is_bgr), spec)
    return _turned(_squash(frame.pixels, spec), is_bgr=frame.is_bgr)


def check_filter(spec: FitSpec) -> None:
    """Check that what `fit_frame` needs is there, before the first frame comes.

    Raises:
        BackendError: the filter is Pillow's and Pillow is missing.
    """
    if _needs_pillow(spec):
        load_pillow()


def _needs_pillow(spec: FitSpec) -> bool:
    return spec.fit != "squash" or spec.filter != "area"


def _turned(pixels: Pixels, *, is_bgr: bool) -> Pixels:
    return np.asarray(load_cv2().cvtColor(pixels, load_cv2().COLOR_BGR2RGB) if is_bgr else pixels, dtype=np.uint8)


def _squash(pixels: Pixels, spec: FitSpec) -> Pixels:
    """Area averaging where the frame has at least as many pixels on both sides (no aliasing), linear interpolation otherwise.

    Large frames are halved first, as often as their sides are even: means of 2 x 2 pixels are many times faster than means over parts of pixels.
    """
    cv2 = load_cv2()
    height, width = pixels.shape[:2]
    while height >= 2 * spec.height and width >= 2 * spec.width and height % 2 == width % 2 == 0:
        height, width = height // 2, width // 2
        pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
    method = cv2.INTER_AREA if height >= spec.height and width >= spec.width else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(pixels, (spec.width, spec.height), interpolation=method), dtype=np.uint8)
