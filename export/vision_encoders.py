"""Vision encoders by themselves, for models that are put together: EfficientNet-Lite0, or what transformers loads as a model of images.

X are the encoder's last features. Knows transformers' loaders and what vision models return; does not know adapters or LLMs. timm's models come
through transformers' own wrapper of timm, where timm is installed.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor, nn

from redvillm.errors import ExportError
from redvillm.export.checkpoint import explained, load_whole
from redvillm.export.efficientnet import FEATURE_WIDTH, GRID_SIZE, IMAGE_SIZE, load_efficientnet_lite0
from redvillm.export.families.attention import use_fused_attention
from redvillm.export.image_llm import NormalisedPixels

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

    def __init__(self, model: nn.Module, processor: Any, num_other_tokens: int) -> None:
        super().__init__()
        self.normalise, self.model, self.num_other_tokens = NormalisedPixels(processor), model, num_other_tokens

    def forward(self, pixels: Tensor) -> Tensor:
        """Leave out the tokens that stand before the patches (class, registers); of a convolutional model, take the map row by row."""
        return _rows(self.model(self.normalise(pixels)).last_hidden_state)[:, self.num_other_tokens :]


def load_vision_encoder(path: Path) -> LoadedEncoder:
    """Load a file of EfficientNet-Lite0, or a folder of transformers with config.json, weights and preprocessor_config.json.

    Of a checkpoint with a text tower (CLIP, SigLIP), the vision tower is taken.

    Raises:
        ExportError: neither, or a model that does not give features of patches on a square.
    """
    if not path.is_dir():
        return LoadedEncoder(module=load_efficientnet_lite0(path), num_patches=GRID_SIZE**2, width=FEATURE_WIDTH, image_size=IMAGE_SIZE)
    return _measured(load_whole(transformers.AutoModel, path, f"the vision encoder in {path}", torch.float32, unused=_POOLERS), path, "cpu")


def empty_vision_encoder(path: Path) -> LoadedEncoder:
    """As `load_vision_encoder`, of a folder, without its weights: sizes and parameters are those of the real one.

    Raises:
        ExportError: as there.
    """
    with explained(f"the vision encoder in {path}"), torch.device("meta"):
        configuration = transformers.AutoConfig.from_pretrained(path, local_files_only=True, trust_remote_code=False)
        empty = transformers.AutoModel.from_config(configuration)
    return _measured(empty, path, "meta")


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


def _rows(hidden: Tensor) -> Tensor:
    return hidden.flatten(2).transpose(1, 2) if hidden.ndim == 4 else hidden


def _measured(loaded: Any, path: Path, device: str) -> LoadedEncoder:
    """Run one image: what comes before the patches is what is more than a square of them."""
    with explained(f"the image processor in {path}"):
        processor = transformers.AutoImageProcessor.from_pretrained(path, backend="pil", local_files_only=True, trust_remote_code=False)
    model, side = getattr(loaded, "vision_model", loaded).eval().requires_grad_(False), image_size_of(processor, path)
    with explained(f"the vision encoder in {path}"), torch.inference_mode():
        hidden = model(torch.zeros(1, 3, side, side, device=device)).last_hidden_state
        use_fused_attention(model)
    num_tokens, width = _rows(hidden).shape[1:]
    patch = getattr(model.config, "patch_size", None)
    num_patches = (side // patch) ** 2 if isinstance(patch, int) and hidden.ndim == 3 else num_tokens
    if num_patches > num_tokens:
        raise ExportError(f"the vision encoder in {path} gives {num_tokens} tokens of {side} x {side} pixels, fewer than its patches of {patch} are")
    encoder = TransformersEncoder(model, processor, num_tokens - num_patches)
    return LoadedEncoder(module=encoder, num_patches=num_patches, width=width, image_size=side)
