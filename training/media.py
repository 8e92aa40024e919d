"""Frames of images and videos, as the vision encoder of a training run sees them.

Knows files and pixels; does not know features. Frames are squashed to a square, as the runtime squashes them.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from redvillm.export.frame_files import video_frames
from redvillm.training.views import read_pixels, squash

Pixels = NDArray[np.uint8]


def read_media(path: Path, *, is_video: bool, size: int, max_frames: int) -> Pixels:
    """Return uint8 [T, size, size, 3]: the image (T = 1), or at most `max_frames` frames of the video, evenly spaced.

    Raises:
        OptionsError: not readable.
    """
    if not is_video:
        return read_pixels(path, size)[None]
    return np.stack(video_frames(path, max_frames, lambda frame: squash(frame, size)))
