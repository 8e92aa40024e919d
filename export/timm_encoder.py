"""Vision encoders of timm in transformers' wrapper of it: how their pixels are made, and where patches lie in what they return.

Knows timm's configuration (`pretrained_cfg`, huggingface.co/docs/timm/reference/data) and the wrapper's attributes; does not know how a folder is
loaded.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from redvillm.errors import BackendError, ExportError


@dataclass(frozen=True, kw_only=True)
class TimmPixels:
    """What timm's own evaluation does to a picture, in the words of transformers' image processors.

    Frames are squashed to the square, so that `crop_pct` and the interpolation have no meaning here.
    """

    size: dict[str, int]
    image_mean: tuple[float, ...]
    image_std: tuple[float, ...]
    do_rescale: bool = True
    rescale_factor: float = 1 / 255
    do_normalize: bool = True


def is_timm(folder: Path) -> bool:
    """Whether config.json of a folder is timm's own, or that of transformers' wrapper of it; a folder without a readable one is not timm's."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and (config.get("model_type") == "timm_wrapper" or "pretrained_cfg" in config)


def check_timm(folder: Path) -> None:
    """Check that timm is there.

    Raises:
        BackendError: it is not, or not with a torchvision that belongs to this torch.
    """
    try:
        import timm  # noqa: F401
    except (ImportError, RuntimeError) as error:  # RuntimeError: torchvision's operators are built for another torch
        words = " ".join(str(error).split())
        raise BackendError(
            f"{folder} is a model of timm, which cannot be imported ({words:.200}); install it, and the torchvision of this torch: "
            "pip install timm torchvision"
        ) from error


def timm_pixels(processor: Any) -> TimmPixels:
    """Read transformers' image processor for timm, which resolves what `pretrained_cfg` leaves out."""
    settings = processor.data_config
    _channels, height, width = settings["input_size"]
    return TimmPixels(size={"height": height, "width": width}, image_mean=tuple(settings["mean"]), image_std=tuple(settings["std"]))


def is_channels_last(model: Any, features: Tensor) -> bool:
    """Whether a map has its channels last, as those of Swin.

    Raises:
        ExportError: neither first nor last.
    """
    width = model.num_features
    if features.shape[1] != width and features.shape[-1] != width:
        raise ExportError(f"a model of timm gives features {tuple(features.shape)}, none of which is its width {width}; choose another model")
    return bool(features.shape[1] != width)


def num_prefix_tokens(model: Any, num_tokens: int) -> int:
    """Return how many tokens stand before the patches (class, registers): as the model says, or what is more than a square."""
    said = getattr(model, "num_prefix_tokens", None)
    return num_tokens - math.isqrt(num_tokens) ** 2 if said is None else int(said)
