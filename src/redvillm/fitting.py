"""Frames fitted as the image processors of Image LLMs do it, with Pillow. Export and runtime share this. Knows pixels only."""

from types import ModuleType

import numpy as np
import numpy.typing as npt

from redvillm.errors import BackendError
from redvillm.manifest import FitSpec

Pixels = npt.NDArray[np.uint8]
_PILLOW_FILTERS = {"area": "BOX", "bilinear": "BILINEAR", "bicubic": "BICUBIC", "lanczos": "LANCZOS"}


def fit_with_pillow(pixels: Pixels, spec: FitSpec) -> Pixels:
    """Return RGB pixels [height, width, 3] of any size as the spec wants them; scaled in 8 bits, smoothed where a side shrinks.

    Raises:
        BackendError: Pillow is missing.
    """
    image_module = load_pillow()
    image, resampling = image_module.fromarray(pixels), image_module.Resampling[_PILLOW_FILTERS[spec.filter]]
    if spec.fit == "squash":
        return np.asarray(image.resize((spec.width, spec.height), resampling))
    width, height = _scaled_size(image.width, image.height, spec.shorter_side)
    left, top = (width - spec.width) // 2, (height - spec.height) // 2
    return np.asarray(image.resize((width, height), resampling).crop((left, top, left + spec.width, top + spec.height)))


def load_pillow() -> ModuleType:
    """Import Pillow.

    Raises:
        BackendError: it is missing.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise BackendError(f"Pillow cannot be imported ({error}); frames are resized with it here: pip install pillow") from error
    module: ModuleType = Image
    return module


def _scaled_size(width: int, height: int, shorter_side: int) -> tuple[int, int]:
    """Width and height with a given shorter side; the longer is rounded down, as in transformers."""
    if width <= height:
        return shorter_side, int(shorter_side * height / width)
    return int(shorter_side * width / height), shorter_side
