"""Frames to the square that the vision encoder takes: squashed, not cropped, so that nothing at the border is lost.

Knows resizing and channel order; normalisation is inside vision.onnx.
"""

import numpy as np

from redvillm.runtime.frame import Frame, Pixels
from redvillm.runtime.opencv import load_cv2


def squash(frame: Frame, size: int) -> Pixels:
    """Return the frame as uint8 [size, size, 3], RGB, contiguous.

    Area averaging where the frame has at least as many pixels on both sides (no aliasing), linear interpolation otherwise.
    """
    cv2 = load_cv2()
    height, width = frame.pixels.shape[:2]
    method = cv2.INTER_AREA if min(height, width) >= size else cv2.INTER_LINEAR
    small = cv2.resize(frame.pixels, (size, size), interpolation=method)
    return np.ascontiguousarray(small[:, :, ::-1] if frame.is_bgr else small)
