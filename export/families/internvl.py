"""InternVL: InternViT, a pixel unshuffle, a norm and a two-layer MLP, and Qwen2 or Llama (arXiv 2404.16821, 2504.10479).

X are the unshuffled features before norm and MLP, [T, N / 4, 4 D]. The tiles that large images are cut into are left out.
"""

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from redvillm.export.families.attention import use_fused_attention
from redvillm.export.families.common import fit_of, prompt_of, tokenizer_json_of
from redvillm.export.image_llm import AdapterSizes, Image, ImageLLM, NormalisedPixels, Processing, StreamAdapter, TakeOptions

MODEL_TYPES = ("internvl",)
_WHOLE = {"crop_to_patches": False}


class InternVLEncoder(nn.Module):
    """InternViT and the pixel unshuffle."""

    def __init__(self, model: Any, processor: Any) -> None:
        super().__init__()
        config = model.config
        self.layer = config.vision_feature_layer
        self.first_patch = 1 if config.vision_feature_select_strategy == "default" else 0
        self.factor = round(1 / config.downsample_ratio)
        self.normalise, self.tower = NormalisedPixels(processor), model.model.vision_tower
        height, width = config.vision_config.image_size
        patch_height, patch_width = config.vision_config.patch_size
        self.grid = (height // patch_height, width // patch_width)
        use_fused_attention(self.tower)

    def forward(self, pixels: Tensor) -> Tensor:
        """Pixels uint8 [T, height, width, 3] -> X float32 [T, N, D]."""
        output = self.tower(self.normalise(pixels), output_hidden_states=True)
        hidden = output.last_hidden_state if self.layer == -1 else output.hidden_states[self.layer]
        return unshuffled(hidden[:, self.first_patch :], self.grid, self.factor)


def unshuffled(features: Tensor, grid: tuple[int, int], factor: int) -> Tensor:
    """[T, rows * columns, D] -> [T, rows * columns / factor^2, factor^2 D]: squares of patches side by side, row by row of a square."""
    rows, columns = grid
    squares = features.reshape(features.shape[0], rows // factor, factor, columns // factor, factor, -1).transpose(2, 3)
    return squares.flatten(3, 5).flatten(1, 2)


def language_of(model: Any) -> nn.Module:
    """Return the text model, without its head."""
    return cast(nn.Module, model.model.language_model)


def take_apart(model: Any, processing: Processing, _options: TakeOptions) -> ImageLLM:
    """Return the parts of an InternVL model."""
    images = processing.images
    encoder = InternVLEncoder(model, images)
    num_tokens = encoder.grid[0] * encoder.grid[1] // encoder.factor**2
    vision_width = model.config.vision_config.hidden_size * encoder.factor**2
    sizes = AdapterSizes(num_patches=num_tokens, vision_width=vision_width, llm_width=model.config.text_config.hidden_size)

    def own_tokens(frames: Sequence[Image]) -> Tensor:
        pixels = torch.cat([images(images=frame, return_tensors="pt", **_WHOLE)["pixel_values"] for frame in frames])
        tokens: Tensor = model.model.get_image_features(pixels).pooler_output
        return tokens

    return ImageLLM(
        family="internvl",
        encoder=encoder,
        adapter=StreamAdapter(model.model.multi_modal_projector, sizes),
        fit=fit_of(images),
        prompt=prompt_of(processing, model, placeholder="<IMG_CONTEXT>", opening="<img>", closing="</img>"),
        tokenizer_json=tokenizer_json_of(processing),
        language=language_of(model),
        head=model.lm_head,
        own_tokens=own_tokens,
    )
