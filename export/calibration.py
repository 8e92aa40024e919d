"""Frames that come with the package: those that every export is checked on, and those that quantization is calibrated with.

Knows one image file; does not know encoders. The same frames every time, whatever else was fetched, so that an export gives the same bytes.
"""

from importlib import resources

import cv2
import numpy as np
from numpy.typing import NDArray

from redvillm.evenly import even_places
from redvillm.fitting import fit_with_pillow
from redvillm.manifest import FitSpec

Frames = NDArray[np.uint8]

_CROP_SHARE = 0.75
_CALIBRATION_PIXELS = 224 * 224  # of a frame of which all are taken
_MIN_CALIBRATION_FRAMES = 4


def parity_frames(fit: FitSpec) -> Frames:
    """Return the shipped frames, fitted: RGB uint8 [8, height, width, 3]."""
    return _resized(shipped_frames(), fit)


def calibration_frames(fit: FitSpec) -> Frames:
    """Return RGB uint8 [24 or fewer, height, width, 3]: the same scenes mirrored, whole and in two crops each; none of them is a parity frame.

    Of large frames there are fewer: each gives more places to look at, and what is looked at stays in memory.
    """
    mirrored = [frame[:, ::-1] for frame in shipped_frames()]
    side = int(mirrored[0].shape[0] * _CROP_SHARE)
    crops = [crop for frame in mirrored for crop in (frame[:side, :side], frame[-side:, -side:])]
    frames = [*mirrored, *crops]
    count = max(_MIN_CALIBRATION_FRAMES, len(frames) * _CALIBRATION_PIXELS // (fit.height * fit.width))
    return _resized([frames[place] for place in even_places(len(frames), count)], fit)


def shipped_frames() -> list[Frames]:
    """Return the real frames that ship with the package as they are, RGB uint8 [size, size, 3]."""
    strip = cv2.imread(str(resources.files("redvillm.export") / "assets" / "parity_frames.jpg"), cv2.IMREAD_COLOR_RGB)
    assert strip is not None
    return [np.asarray(frame, dtype=np.uint8) for frame in np.split(strip, strip.shape[1] // strip.shape[0], axis=1)]


def _resized(frames: list[Frames], fit: FitSpec) -> Frames:
    if fit.filter != "area":
        return np.stack([fit_with_pillow(np.ascontiguousarray(frame), fit) for frame in frames])
    size = (fit.width, fit.height)
    return np.stack([np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), dtype=np.uint8) for frame in frames])
