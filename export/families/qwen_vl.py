"""Qwen2-VL and Qwen2.5-VL: a ViT with rotary positions (and windows), a patch merger, and Qwen2 with M-RoPE (arXiv 2409.12191, 2502.13923).

The ViT takes frames of any size; a bundle has one, the user's choice. X are the normed features of squares of patches, [T, N / 4, 4 D]; the
merger's MLP comes after the pooling. A frame is a still image: both halves of the patch embedding, which is made for pairs of frames, see it.
"""

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers.vision_utils import get_vision_position_ids, get_vision_window_index

from redvillm.errors import OptionsError
from redvillm.export.attention import AttentionOperator, attend
from redvillm.export.families.common import prompt_of, tokenizer_json_of
from redvillm.export.image_llm import AdapterSizes, Image, ImageLLM, NormalisedPixels, Processing, StreamAdapter, TakeOptions
from redvillm.manifest import FitSpec

MODEL_TYPES = ("qwen2_vl", "qwen2_5_vl")
_SIDE = 448


class QwenEncoder(nn.Module):
    """The ViT on a fixed grid: positions, windows and their order are constants."""

    patches: Tensor
    order: Tensor
    reverse: Tensor
    cosines: Tensor
    sines: Tensor

    def __init__(self, model: Any, processor: Any, fit: FitSpec) -> None:
        super().__init__()
        tower, config = model.model.visual, model.config.vision_config
        self.attention_operator: AttentionOperator = "fused"
        self.merge, self.patch = config.spatial_merge_size, config.patch_size
        self.rows, self.columns = fit.height // self.patch, fit.width // self.patch
        self.num_heads = tower.blocks[0].attn.num_heads
        self.normalise, self.blocks, self.norm = NormalisedPixels(processor), tower.blocks, tower.merger.ln_q
        self.register_buffer("patches", tower.patch_embed.proj.weight.sum(2).detach(), persistent=False)
        grid = torch.tensor([[1, self.rows, self.columns]])
        angles = tower.rotary_pos_emb(self.patches, get_vision_position_ids(grid, self.merge))
        order, self.window_sizes = self._windows(grid, config)
        by_patch = (order[:, None] * self.merge**2 + torch.arange(self.merge**2)).flatten()
        self.register_buffer("order", by_patch, persistent=False)
        self.register_buffer("reverse", torch.argsort(order), persistent=False)
        for name, values in zip(("cosines", "sines"), angles, strict=True):
            self.register_buffer(name, values[by_patch][:, None], persistent=False)
        self.whole = tuple(getattr(config, "fullatt_block_indexes", None) or range(config.depth))

    def forward(self, pixels: Tensor) -> Tensor:
        """Pixels uint8 [T, height, width, 3] -> X float32 [T, N, D]."""
        hidden = nn.functional.conv2d(self.normalise(pixels), self.patches, stride=self.patch)
        squares = hidden.reshape(*hidden.shape[:2], self.rows // self.merge, self.merge, self.columns // self.merge, self.merge)
        hidden = squares.permute(0, 2, 4, 3, 5, 1).flatten(1, 4)[:, self.order]
        for number, block in enumerate(self.blocks):
            hidden = hidden + self._attention(block.attn, block.norm1(hidden), windowed=number not in self.whole)
            hidden = hidden + block.mlp(block.norm2(hidden))
        normed: Tensor = self.norm(hidden)
        return normed.reshape(normed.shape[0], -1, self.merge**2 * normed.shape[-1])[:, self.reverse]

    def _attention(self, attention: Any, x: Tensor, *, windowed: bool) -> Tensor:
        queries, keys, values = attention.qkv(x).reshape(*x.shape[:2], 3, self.num_heads, -1).unbind(2)
        queries, keys = ((part * self.cosines + _half_turned(part) * self.sines).flatten(2) for part in (queries, keys))
        attended = self._attended((queries, keys, values.flatten(2)), self.window_sizes if windowed else [x.shape[1]])
        return cast(Tensor, attention.proj(attended))

    def _attended(self, parts: tuple[Tensor, ...], sizes: list[int]) -> Tensor:
        """Attend within windows; those of one size are a batch, so that a graph has one operator for all of them."""
        if len(set(sizes)) == 1:
            query, key, value = (part.reshape(-1, sizes[0], part.shape[-1]) for part in parts)
            return attend(query, key, value, self.num_heads, operator=self.attention_operator).reshape(parts[0].shape)
        windows = zip(*(torch.split(part, sizes, 1) for part in parts), strict=True)
        return torch.cat([attend(query, key, value, self.num_heads, operator=self.attention_operator) for query, key, value in windows], 1)

    def _windows(self, grid: Tensor, config: Any) -> tuple[Tensor, list[int]]:
        """The squares in the order of their windows, and how many patches each window has."""
        num_patches = self.rows * self.columns
        if not getattr(config, "fullatt_block_indexes", None):
            return torch.arange(num_patches // self.merge**2), [num_patches]
        order, ends = get_vision_window_index(grid, self.merge, config.window_size, self.patch)
        return order, ends.diff().tolist()


def language_of(model: Any) -> nn.Module:
    """Return the text model, without its head."""
    return cast(nn.Module, model.model.language_model)


def take_apart(model: Any, processing: Processing, options: TakeOptions) -> ImageLLM:
    """Return the parts of a Qwen2-VL or Qwen2.5-VL model.

    Raises:
        OptionsError: a frame size that is not made of whole squares of patches.
    """
    images, vision = processing.images, model.config.vision_config
    fit = _fit(options, vision.patch_size * vision.spatial_merge_size)
    encoder = QwenEncoder(model, images, fit)
    rows, columns = encoder.rows // encoder.merge, encoder.columns // encoder.merge
    vision_width = encoder.patches.shape[0] * encoder.merge**2
    sizes = AdapterSizes(num_patches=rows * columns, vision_width=vision_width, llm_width=model.config.text_config.hidden_size)

    def own_tokens(frames: Sequence[Image]) -> Tensor:
        """Bring each frame to the bundle's size first, as the runtime does; the processor then leaves it as it is."""
        from PIL import Image as Pillow

        sized = [Pillow.fromarray(frame).resize((fit.width, fit.height), Pillow.Resampling.BICUBIC) for frame in frames]
        area = fit.width * fit.height
        inputs = images(images=sized, return_tensors="pt", size={"shortest_edge": min(area, 56 * 56), "longest_edge": area})
        return torch.stack(list(model.model.get_image_features(**inputs).pooler_output))

    return ImageLLM(
        family="qwen_vl",
        encoder=encoder,
        adapter=StreamAdapter(model.model.visual.merger.mlp, sizes),
        fit=fit,
        prompt=prompt_of(processing, model, placeholder="<|image_pad|>"),
        tokenizer_json=tokenizer_json_of(processing),
        language=language_of(model),
        head=model.lm_head,
        own_tokens=own_tokens,
        grid=(rows, columns),
    )


def _fit(options: TakeOptions, step: int) -> FitSpec:
    height, width = options.frame_height or _SIDE // step * step, options.frame_width or _SIDE // step * step
    if height % step or width % step:
        raise OptionsError(f"frames of {height} x {width} pixels are not whole squares of patches; give multiples of {step}")
    return FitSpec(height=height, width=width, fit="squash", filter="bicubic")


def _half_turned(x: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    return torch.cat((-second, first), dim=-1)
