"""Frames to the square that the vision encoder takes: squashed, not cropped, so that nothing at the border is lost.

Knows resizing and channel order; normalisation is inside vision.onnx.
"""

import numpy as np

from redvillm.runtime.frame import Frame, Pixels
from redvillm.runtime.opencv import load_cv2


def squash(frame: Frame, size: int) -> Pixels:
    """Return the frame as uint8 [size, size, 3], RGB, contiguous.

    Area averaging where the frame has at least as many pixels on both sides (no aliasing), linear interpolation otherwise. Large frames are halved
    first, as often as their sides are even: means of 2 x 2 pixels are many times faster than means over parts of pixels.
    """
    cv2 = load_cv2()
    pixels = frame.pixels
    height, width = pixels.shape[:2]
    while min(height, width) >= 2 * size and height % 2 == width % 2 == 0:
        height, width = height // 2, width // 2
        pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
    method = cv2.INTER_AREA if min(height, width) >= size else cv2.INTER_LINEAR
    small = cv2.resize(pixels, (size, size), interpolation=method)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2RGB) if frame.is_bgr else small, dtype=np.uint8)
