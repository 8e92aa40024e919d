"""Vision encoders by themselves, for models that are put together: EfficientNet-Lite0, or what transformers loads as a model of images.

X are the encoder's last features. Knows transformers' loaders and what vision models return; does not know adapters or LLMs. timm's models come
through transformers' own wrapper of timm (timm_encoder.py), where timm is installed.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor, nn

from redvillm.errors import ExportError
from redvillm.export.checkpoint import empty_model, explained, load_whole
from redvillm.export.efficientnet import FEATURE_WIDTH, GRID_SIZE, IMAGE_SIZE, load_efficientnet_lite0
from redvillm.export.families.attention import use_fused_attention
from redvillm.export.image_llm import NormalisedPixels
from redvillm.export.timm_encoder import check_timm, is_channels_last, is_timm, num_prefix_tokens, timm_pixels

_POOLERS = ("pooler.", "head.", "vision_model.head.", "vision_model.pooler.")  # come after the last features; checkpoints of classifiers lack them


@dataclass(frozen=True, kw_only=True)
class LoadedEncoder:
    """module: pixels uint8 [T, image_size, image_size, 3] -> X float32 [T, num_patches, width], in eval mode and without gradients."""

    module: nn.Module
    num_patches: int
    width: int
    image_size: int


class TransformersEncoder(nn.Module):
    """A vision model of transformers behind the normalisation of its image processor."""

    def __init__(self, model: nn.Module, processor: Any, num_other_tokens: int, *, channels_last: bool = False) -> None:
        super().__init__()
        self.normalise, self.model = NormalisedPixels(processor), model
        self.num_other_tokens, self.channels_last = num_other_tokens, channels_last

    def forward(self, pixels: Tensor) -> Tensor:
        """Leave out the tokens that stand before the patches (class, registers); of a convolutional model, take the map row by row."""
        hidden: Tensor = self.model(self.normalise(pixels)).last_hidden_state
        return _rows(hidden, channels_last=self.channels_last)[:, self.num_other_tokens :]


def load_vision_encoder(path: Path) -> LoadedEncoder:
    """Load a file of EfficientNet-Lite0, or a folder of transformers with config.json, weights and preprocessor_config.json.

    Of a checkpoint with a text tower (CLIP, SigLIP), the vision tower is taken.

    Raises:
        ExportError: neither, or a model that does not give features of patches on a square.
        BackendError: a model of timm, which is not installed.
    """
    if not path.is_dir():
        return LoadedEncoder(module=load_efficientnet_lite0(path), num_patches=GRID_SIZE**2, width=FEATURE_WIDTH, image_size=IMAGE_SIZE)
    if is_timm(path):
        check_timm(path)
    return _measured(load_whole(transformers.AutoModel, path, f"the vision encoder in {path}", torch.float32, unused=_POOLERS), path, "cpu")


def empty_vision_encoder(path: Path) -> LoadedEncoder:
    """As `load_vision_encoder`, of a folder, without its weights: sizes and parameters are those of the real one.

    Raises:
        ExportError, BackendError: as there.
    """
    if is_timm(path):
        check_timm(path)
    with explained(f"the vision encoder in {path}"):
        empty = empty_model(transformers.AutoModel, path)
    return _measured(empty.float(), path, "meta")


def image_size_of(processor: Any, path: Path) -> int:
    """Return the side of the square that a processor makes.

    Raises:
        ExportError: it makes none of a fixed size.
    """
    size = dict(processor.crop_size if getattr(processor, "do_center_crop", False) else processor.size)
    height, width = (size.get(side) or size.get("shortest_edge") for side in ("height", "width"))
    if not height or height != width:
        raise ExportError(
            f"the image processor in {path} makes images of {size}; a square of a fixed size is wanted, change its preprocessor_config.json"
        )
    return int(height)


def _rows(hidden: Tensor, *, channels_last: bool) -> Tensor:
    if hidden.ndim == 3:
        return hidden
    return hidden.flatten(1, 2) if channels_last else hidden.flatten(2).transpose(1, 2)


def _measured(loaded: Any, path: Path, device: str) -> LoadedEncoder:
    """Run one image: what comes before the patches is what is more than a square of them."""
    with explained(f"the image processor in {path}"):
        processor = transformers.AutoImageProcessor.from_pretrained(path, backend="pil", local_files_only=True, trust_remote_code=False)
    model = getattr(loaded, "vision_model", loaded).eval().requires_grad_(False)
    if hasattr(model, "timm_model"):
        processor, model.config.do_pooling = timm_pixels(processor), False
    side = image_size_of(processor, path)
    with explained(f"the vision encoder in {path}"), torch.inference_mode():
        hidden = model(torch.zeros(1, 3, side, side, device=device)).last_hidden_state
        use_fused_attention(model)
    if not isinstance(hidden, Tensor) or hidden.ndim not in (3, 4):
        raise ExportError(f"the vision encoder in {path} gives neither a row of patches nor a map of them; choose another one")
    channels_last = hidden.ndim == 4 and hasattr(model, "timm_model") and is_channels_last(model.timm_model, hidden)
    num_tokens, width = _rows(hidden, channels_last=channels_last).shape[1:]
    num_others = _num_other_tokens(model, side, num_tokens) if hidden.ndim == 3 else 0
    if num_others < 0:
        raise ExportError(f"the vision encoder in {path} gives {num_tokens} tokens of {side} x {side} pixels, fewer than its patches are")
    encoder = TransformersEncoder(model, processor, num_others, channels_last=channels_last)
    return LoadedEncoder(module=encoder, num_patches=num_tokens - num_others, width=width, image_size=side)


def _num_other_tokens(model: Any, side: int, num_tokens: int) -> int:
    """How many tokens stand before the patches; below 0 where there are fewer tokens than patches."""
    if hasattr(model, "timm_model"):
        return num_prefix_tokens(model.timm_model, num_tokens)
    patch = getattr(model.config, "patch_size", None)
    return num_tokens - (side // patch) ** 2 if isinstance(patch, int) else 0
