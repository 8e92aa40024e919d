"""LLaVA 1.5, 1.6 (Next) and OneVision: CLIP or SigLIP, a two-layer MLP for each patch, and Llama, Mistral or Qwen2.

arXiv 2310.03744, 2408.03326. X are the patch features of one layer of the vision encoder, before the MLP: pooled first and aligned after, as in
RED-VILLM. The tiles that 1.6 and OneVision cut large images into are left out: a frame of a video is one picture at the encoder's size.
"""

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from redvillm.export.families.attention import use_fused_attention
from redvillm.export.families.common import fit_of, prompt_of, tokenizer_json_of
from redvillm.export.image_llm import AdapterSizes, Image, ImageLLM, NormalisedPixels, Processing, StreamAdapter, TakeOptions
from redvillm.manifest import FitSpec

MODEL_TYPES = ("llava", "llava_next", "llava_onevision")


class LlavaEncoder(nn.Module):
    """Vision encoder up to the layers whose features are used."""

    def __init__(self, model: Any, processor: Any) -> None:
        super().__init__()
        layers = model.config.vision_feature_layer
        self.layers = (layers,) if isinstance(layers, int) else tuple(layers)
        self.first_patch = 1 if model.config.vision_feature_select_strategy == "default" else 0
        self.normalise, self.tower = NormalisedPixels(processor), model.model.vision_tower
        use_fused_attention(self.tower)

    def forward(self, pixels: Tensor) -> Tensor:
        """Pixels uint8 [T, height, width, 3] -> X float32 [T, N, D]."""
        hidden = self.tower(self.normalise(pixels), output_hidden_states=True).hidden_states
        return torch.cat([hidden[layer][:, self.first_patch :] for layer in self.layers], dim=-1)


def language_of(model: Any) -> nn.Module:
    """Return the text model, without its head."""
    return cast(nn.Module, model.model.language_model)


def take_apart(model: Any, processing: Processing, _options: TakeOptions) -> ImageLLM:
    """Return the parts of a LLaVA model."""
    images = processing.images
    fit = fit_of(images) if model.config.model_type == "llava" else _whole_image(images)
    tower, text = model.config.vision_config, model.config.text_config
    num_patches = (tower.image_size // tower.patch_size) ** 2

    def own_tokens(frames: Sequence[Image]) -> Tensor:
        """Of an image with tiles, the tokens of the whole come first."""
        inputs = [images(images=frame, return_tensors="pt") for frame in frames]
        return torch.stack([model.model.get_image_features(**_named(one)).pooler_output[0][:num_patches] for one in inputs])

    encoder = LlavaEncoder(model, images)
    sizes = AdapterSizes(num_patches=num_patches, vision_width=tower.hidden_size * len(encoder.layers), llm_width=text.hidden_size)
    return ImageLLM(
        family="llava",
        encoder=encoder,
        adapter=StreamAdapter(model.model.multi_modal_projector, sizes),
        fit=fit,
        prompt=prompt_of(processing, model, placeholder="<image>"),
        tokenizer_json=tokenizer_json_of(processing),
        language=language_of(model),
        head=model.lm_head,
        own_tokens=own_tokens,
    )


def _named(inputs: Any) -> dict[str, Tensor]:
    return {name: inputs[name] for name in ("pixel_values", "image_sizes") if name in inputs}


def _whole_image(processor: Any) -> FitSpec:
    """1.6 and OneVision stretch the whole image to the encoder's square."""
    size = dict(processor.size)
    side = size.get("shortest_edge") or size["height"]
    return FitSpec(height=side, width=size.get("width") or side, fit="squash", filter="bicubic")
