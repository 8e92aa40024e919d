"""The main colour of a picture, from its pixels, when one colour clearly dominates. Knows pixels and names of colours."""

import cv2
import numpy as np
from numpy.typing import NDArray

_MIN_SHARE, _MIN_LEAD = 0.5, 0.3
_HUES = (("red", 8), ("orange", 20), ("yellow", 34), ("green", 85), ("blue", 130), ("purple", 152), ("pink", 172), ("red", 181))  # upper ends
_DARK, _PALE, _BRIGHT = 55, 45, 190
_BROWN_VALUE = 165
_WARM, _CLEAR = ("red", "orange", "yellow"), 110  # pale warm colours are pink, tan or cream: no name is right enough


def picture_colour(pixels: NDArray[np.uint8]) -> str:
    """Return the colour of most of an RGB picture [height, width, 3]; empty when none clearly leads."""
    hue, saturation, value = np.moveaxis(cv2.cvtColor(cv2.resize(pixels, (64, 64), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2HSV), -1, 0)
    colourful = (saturation >= _PALE) & (value >= _DARK)
    shares = {
        "black": float((value < _DARK).mean()),
        "white": float(((saturation < _PALE) & (value >= _BRIGHT)).mean()),
        "grey": float(((saturation < _PALE) & (value >= _DARK) & (value < _BRIGHT)).mean()),
    }
    start = 0
    for name, end in _HUES:
        inside = colourful & (hue >= start) & (hue < end)
        brown = inside & (value < _BROWN_VALUE) if name in ("orange", "yellow") else np.zeros_like(inside)
        clear = saturation >= _CLEAR if name in _WARM else np.ones_like(inside)
        shares[name] = shares.get(name, 0.0) + float((inside & ~brown & clear).mean())
        shares["brown"] = shares.get("brown", 0.0) + float(brown.mean())
        start = end
    (best, first), (_, second) = sorted(shares.items(), key=lambda item: -item[1])[:2]
    return best if first >= _MIN_SHARE and first - second >= _MIN_LEAD else ""
