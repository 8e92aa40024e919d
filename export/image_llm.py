"""An Image LLM taken apart: what every family gives, and what the export of a bundle needs.

Knows the parts and their shapes; does not know any family. T frames, N patches, D vision width, H LLM width.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from redvillm.manifest import FitSpec, PromptSpec

Image = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Processing:
    """What a checkpoint brings to make inputs: image processor, tokenizer and chat template of transformers.

    Its processor class, which joins the three, is not used: for some families it wants torchvision for videos that are never given to it.
    """

    images: Any
    tokenizer: Any
    chat_template: str


@dataclass(frozen=True, kw_only=True)
class TakeOptions:
    """What a user may choose of a family.

    frame_height, frame_width: size of the frames, for encoders that take any; None for the family's own.
    """

    frame_height: int | None = None
    frame_width: int | None = None


@dataclass(frozen=True, kw_only=True)
class ImageLLM:
    """The parts.

    Attributes:
        family: its name, for the manifest.
        encoder: vision encoder, pixels uint8 [T, height, width, 3] -> patch features X, float32 [T, N, D], normalisation inside.
        adapter: pooled streams -> visual tokens, a StreamAdapter.
        fit: how a frame becomes pixels, as the checkpoint's own processor does it.
        prompt: the texts around the visual tokens, from the checkpoint's own chat template.
        tokenizer_json: tokenizer.json of Hugging Face.
        language: the text model without its head (transformers).
        head: the head.
        own_tokens: frames uint8 [height, width, 3], of any size -> what the Image LLM itself makes of each, through its own processor:
            float32 [T, N, H]. The reference of the whole way from frames to visual tokens.
        grid: rows and columns of the spatial tokens, where rotary positions have three parts.
    """

    family: str
    encoder: nn.Module
    adapter: "StreamAdapter"
    fit: FitSpec
    prompt: PromptSpec
    tokenizer_json: str
    language: nn.Module
    head: nn.Linear
    own_tokens: Callable[[Sequence[Image]], Tensor]
    grid: tuple[int, int] = (0, 0)


@dataclass(frozen=True, kw_only=True)
class AdapterSizes:
    """N patches, D vision width, H LLM width, M motion tokens."""

    num_patches: int
    vision_width: int
    llm_width: int
    num_motion_tokens: int = 0


class StreamAdapter(nn.Module):
    """Pooled streams to visual tokens: temporal pooling [N, D], spatial pooling [T, D] -> [N + T, H].

    `alignment` maps rows [..., D] to [..., H] as the Image LLM does; the temporal alignment is a copy of it unless one is given (RED-VILLM,
    section 3.2: plug and play). Where pooled features are aligned already, both are None.
    """

    def __init__(self, alignment: nn.Module | None, sizes: AdapterSizes, temporal_alignment: nn.Module | None = None) -> None:
        super().__init__()
        self.sizes = sizes
        self.alignment = alignment or nn.Identity()
        self.temporal_alignment = temporal_alignment or self.alignment

    def forward(self, temporal_pooling: Tensor, spatial_pooling: Tensor) -> Tensor:
        """Align each stream, spatial tokens first."""
        return torch.cat((self.alignment(temporal_pooling), self.temporal_alignment(spatial_pooling)))


class VisionParts(Protocol):
    """What is checked before the LLM."""

    @property
    def encoder(self) -> nn.Module:
        """Pixels uint8 [T, height, width, 3] -> X float32 [T, N, D]."""

    @property
    def adapter(self) -> Any:
        """Pooled streams -> visual tokens; `sizes` are an AdapterSizes."""


class NormalisedPixels(nn.Module):
    """uint8 [T, height, width, 3] -> [T, 3, height, width], float32 or what the module was cast to, normalised as an image processor does."""

    scale: Tensor
    offset: Tensor

    def __init__(self, processor: Any) -> None:
        """`processor` is an image processor of transformers."""
        super().__init__()
        scale = float(processor.rescale_factor) if processor.do_rescale else 1.0
        mean, std = (processor.image_mean, processor.image_std) if processor.do_normalize else (0.0, 1.0)
        mean, std = (torch.as_tensor(values, dtype=torch.float64).expand(3) for values in (mean, std))
        self.register_buffer("scale", (scale / std).float()[:, None, None], persistent=False)
        self.register_buffer("offset", (mean / std).float()[:, None, None], persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """Normalise, in float32 whatever comes after it. TensorRT does nothing with bytes but cast them, so that comes first."""
        values: Tensor = pixels.float().permute(0, 3, 1, 2) * self.scale.float() - self.offset.float()
        return values.to(self.scale.dtype)
