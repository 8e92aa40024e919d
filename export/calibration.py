"""Frames that every export is checked on, and frames that quantization is calibrated with: those that come with the package, or the user's.

Knows files of images; does not know encoders. The frames of the package are the same every time, whatever else was fetched, so that an export gives
the same bytes.
"""

from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from redvillm.evenly import even_places
from redvillm.export.frame_files import read_frames
from redvillm.fitting import fit_with_pillow
from redvillm.manifest import FitSpec

Frames = NDArray[np.uint8]

_CROP_SHARE = 0.75
_CALIBRATION_FRAMES = 24
_CALIBRATION_PIXELS = 224 * 224  # of a frame of which all are taken
_MIN_CALIBRATION_FRAMES = 4


def parity_frames(fit: FitSpec) -> Frames:
    """Return the shipped frames, fitted: RGB uint8 [8, height, width, 3]."""
    return np.stack([_resized(frame, fit) for frame in shipped_frames()])


def calibration_frames(fit: FitSpec, files: Sequence[Path] = ()) -> Frames:
    """Return RGB uint8 [24 or fewer, height, width, 3]: of the user's images and videos, if there are any.

    Else the same scenes as the parity frames, mirrored, whole and in two crops each; none of them is a parity frame. Of large frames there are fewer:
    each gives more places to look at, and what is looked at stays in memory.

    Raises:
        OptionsError: a file that is neither an image nor a video.
    """
    count = max(_MIN_CALIBRATION_FRAMES, _CALIBRATION_FRAMES * _CALIBRATION_PIXELS // (fit.height * fit.width))
    if files:
        return np.stack(read_frames(files, min(count, _CALIBRATION_FRAMES), lambda frame: _resized(frame, fit)))
    mirrored = [frame[:, ::-1] for frame in shipped_frames()]
    side = int(mirrored[0].shape[0] * _CROP_SHARE)
    crops = [crop for frame in mirrored for crop in (frame[:side, :side], frame[-side:, -side:])]
    frames = [*mirrored, *crops]
    return np.stack([_resized(frames[place], fit) for place in even_places(len(frames), count)])


def shipped_frames() -> list[Frames]:
    """Return the real frames that ship with the package as they are, RGB uint8 [size, size, 3]."""
    strip = cv2.imread(str(resources.files("redvillm.export") / "assets" / "parity_frames.jpg"), cv2.IMREAD_COLOR_RGB)
    assert strip is not None
    return [np.asarray(frame, dtype=np.uint8) for frame in np.split(strip, strip.shape[1] // strip.shape[0], axis=1)]


def _resized(frame: Frames, fit: FitSpec) -> Frames:
    if fit.filter != "area":
        return fit_with_pillow(np.ascontiguousarray(frame), fit)
    return np.asarray(cv2.resize(frame, (fit.width, fit.height), interpolation=cv2.INTER_AREA), dtype=np.uint8)
