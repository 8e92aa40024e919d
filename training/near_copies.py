"""Photos that are nearly the same, so that no split has a copy of another split's photo. Knows grey pixels only.

The fingerprint is the difference hash: whether each pixel of a small grey picture is lighter than its right neighbour
(Krawetz, "Kind of Like That", 2013), here of 16 x 16 places.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from redvillm.errors import OptionsError

_SIDE = 16
_MAX_DIFFERENT = 24  # of 256 places
_BLOCK = 512


def fingerprint(path: Path) -> NDArray[np.bool_]:
    """Return the difference hash of a photo, bool [256].

    Raises:
        OptionsError: not a readable image.
    """
    grey = cv2.imread(str(path), cv2.IMREAD_REDUCED_GRAYSCALE_2)
    if grey is None:
        raise OptionsError(f"{path} is not a readable image")
    small = cv2.resize(grey, (_SIDE + 1, _SIDE), interpolation=cv2.INTER_AREA).astype(np.int16)
    return np.asarray(small[:, :-1] < small[:, 1:]).reshape(-1)


def near_copies(paths: Sequence[Path], others: Sequence[Path]) -> Iterator[tuple[Path, Path]]:
    """Yield each of `paths` that looks like one of `others`, with the most similar of them."""
    if not paths or not others:
        return
    theirs = _signs(others)
    for start in range(0, len(paths), _BLOCK):
        block = paths[start : start + _BLOCK]
        different = (_SIDE * _SIDE - _signs(block) @ theirs.T) / 2
        for path, row in zip(block, different, strict=True):
            if row.min() <= _MAX_DIFFERENT:
                yield path, others[int(row.argmin())]


def _signs(paths: Sequence[Path]) -> NDArray[np.float32]:
    """Fingerprints as -1 and 1, so that a product of two counts what agrees less what differs."""
    return np.stack([fingerprint(path) for path in paths]).astype(np.float32) * 2 - 1
