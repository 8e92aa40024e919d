"""Idefics3, SmolVLM and SmolVLM2: SigLIP, a pixel shuffle, one linear layer, and SmolLM2 (arXiv 2408.12637, 2504.05299).

The connector is linear, so it makes no difference whether it comes before the pooling or after: it is a part of vision.onnx, X are tokens of the
LLM, and what the window keeps is many times smaller. The tiles that a large image is split into are left out.
"""

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from redvillm.export.families.attention import use_fused_attention
from redvillm.export.families.common import prompt_of, tokenizer_json_of
from redvillm.export.image_llm import AdapterSizes, Image, ImageLLM, NormalisedPixels, Processing, StreamAdapter, TakeOptions
from redvillm.manifest import FitSpec

MODEL_TYPES = ("idefics3", "smolvlm")
_AROUND = "<fake_token_around_image>"
_WHOLE = {"do_image_splitting": False}


class Idefics3Encoder(nn.Module):
    """SigLIP and the connector."""

    def __init__(self, model: Any, processor: Any) -> None:
        super().__init__()
        self.normalise, self.tower, self.connector = NormalisedPixels(processor), model.model.vision_model, model.model.connector
        embeddings = self.tower.embeddings
        side = embeddings.num_patches_per_side
        self.register_buffer("positions", embeddings.position_embedding(torch.arange(side * side)).detach(), persistent=False)
        use_fused_attention(self.tower)

    def forward(self, pixels: Tensor) -> Tensor:
        """Pixels uint8 [T, size, size, 3] -> X float32 [T, N, H]. At the encoder's own size every patch has its own position."""
        hidden = self.tower.embeddings.patch_embedding(self.normalise(pixels)).flatten(2).transpose(1, 2) + self.positions
        for layer in self.tower.encoder.layers:
            hidden = layer(hidden, None)
        tokens: Tensor = self.connector(self.tower.post_layernorm(hidden))
        return tokens


def language_of(model: Any) -> nn.Module:
    """Return the text model, without its head."""
    return cast(nn.Module, model.model.text_model)


def take_apart(model: Any, processing: Processing, _options: TakeOptions) -> ImageLLM:
    """Return the parts of an Idefics3 or SmolVLM model."""
    images, vision = processing.images, model.config.vision_config
    side = vision.image_size
    num_tokens = (side // vision.patch_size // model.config.scale_factor) ** 2
    width = model.config.text_config.hidden_size

    def own_tokens(frames: Sequence[Image]) -> Tensor:
        pixels = [images(images=[[frame]], return_tensors="pt", **_WHOLE)["pixel_values"] for frame in frames]
        return torch.stack([model.model.get_image_features(values).pooler_output[0] for values in pixels])

    return ImageLLM(
        family="idefics3",
        encoder=Idefics3Encoder(model, images),
        adapter=StreamAdapter(None, AdapterSizes(num_patches=num_tokens, vision_width=width, llm_width=width)),
        fit=FitSpec(height=side, width=side, fit="squash", filter="lanczos"),
        prompt=prompt_of(processing, model, placeholder="<image>", opening=f"{_AROUND}<global-img>", closing=_AROUND),
        tokenizer_json=tokenizer_json_of(processing),
        language=language_of(model),
        head=model.lm_head,
        own_tokens=own_tokens,
    )
