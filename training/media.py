"""Frames of images and videos, as the vision encoder of a training run sees them.

Knows files and pixels; does not know features. Frames are squashed to a square, as the runtime squashes them.
"""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from redvillm.errors import OptionsError
from redvillm.evenly import even_places
from redvillm.training.views import read_pixels, squash

Pixels = NDArray[np.uint8]


def read_media(path: Path, *, is_video: bool, size: int, max_frames: int) -> Pixels:
    """Return uint8 [T, size, size, 3]: the image (T = 1), or at most `max_frames` frames of the video, evenly spaced.

    Raises:
        OptionsError: not readable.
    """
    return _video_frames(path, size, max_frames) if is_video else read_pixels(path, size)[None]


def _video_frames(path: Path, size: int, max_frames: int) -> Pixels:
    frames: list[Pixels] = []
    stride, number = 1, 0
    capture = cv2.VideoCapture(str(path))
    try:
        while capture.grab():
            if number % stride == 0:
                decoded, frame = capture.retrieve()
                if not decoded:
                    break
                frames.append(squash(np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), dtype=np.uint8), size))
                if len(frames) == 2 * max_frames:  # the length in a header is often wrong: thin out while reading
                    frames, stride = frames[::2], 2 * stride
            number += 1
    finally:
        capture.release()
    if not frames:
        raise OptionsError(f"{path} is not a readable video")
    return np.stack([frames[place] for place in even_places(len(frames), max_frames)])
