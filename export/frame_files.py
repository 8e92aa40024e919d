"""Frames of image and video files. Knows files and pixels; does not know what frames are for."""

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from redvillm.errors import OptionsError
from redvillm.evenly import even_places

Pixels = NDArray[np.uint8]
Fit = Callable[[Pixels], Pixels]  # RGB uint8 [height, width, 3] -> the same of one size


def read_frames(files: Sequence[Path], max_frames: int, fit: Fit) -> list[Pixels]:
    """Return at most `max_frames` fitted frames of images, videos and folders of images, evenly spread over all of them.

    Raises:
        OptionsError: one of them is not there, or neither an image nor a video.
    """
    single = [path for given in files for path in (_visible(given) if given.is_dir() else [given])]
    if not single:
        raise OptionsError(f"{', '.join(map(str, files))}: no file is in there; give images or a video")
    frames: list[Pixels] = []
    for path in (single[place] for place in even_places(len(single), max_frames)):
        if not path.is_file():
            raise OptionsError(f"{path} does not exist, or is not a file")
        image = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
        frames += video_frames(path, max_frames, fit) if image is None else [fit(np.asarray(image, dtype=np.uint8))]
    return [frames[place] for place in even_places(len(frames), max_frames)]


def _visible(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def video_frames(path: Path, max_frames: int, fit: Fit) -> list[Pixels]:
    """Return at most `max_frames` fitted frames of a video, evenly spaced.

    Raises:
        OptionsError: it is not a readable video.
    """
    frames: list[Pixels] = []
    stride, number = 1, 0
    capture = cv2.VideoCapture(str(path))
    try:
        while capture.grab():
            if number % stride == 0:
                decoded, frame = capture.retrieve()
                if not decoded:
                    break
                frames.append(fit(np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), dtype=np.uint8)))
                if len(frames) == 2 * max_frames:  # the length in a header is often wrong: thin out while reading
                    frames, stride = frames[::2], 2 * stride
            number += 1
    finally:
        capture.release()
    if not frames:
        raise OptionsError(f"{path} is not a readable video")
    return [frames[place] for place in even_places(len(frames), max_frames)]
