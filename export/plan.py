"""What is exported into one bundle, whatever it comes from. Knows the parts; does not know graphs or files of a bundle."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from redvillm.errors import ExportError
from redvillm.export.adapter import Adapter
from redvillm.export.decoder_source import DecoderSource
from redvillm.export.image_llm import StreamAdapter
from redvillm.export.reference_language import ReferenceLanguage
from redvillm.manifest import PLAIN_ROTARY, Dimensions, FitSpec, PromptSpec, RotarySpec, WeightOrigin


@dataclass(frozen=True, kw_only=True)
class BundlePlan:
    """The parts of a bundle.

    Attributes:
        name, family: for the manifest.
        encoder: vision encoder, pixels uint8 [T, height, width, 3] -> X float32 [T, N, D].
        adapter: pooled streams -> visual tokens.
        fit: how a frame becomes pixels.
        prompt, tokenizer_json: the language half's text side.
        source: the decoder's weights, as they are exported.
        decoder_precision: what they are, in words.
        load_language: returns the LLM as a reference, with the weights of `source`; only the parity gate asks for it.
        plain_language: the same before it was quantized; None where that is the same.
        own_tokens: what an Image LLM makes of single frames through its own processor; None where there is no such thing.
        grid: rows and columns of the spatial tokens, where rotary positions have three parts.
        origins: of every weight.
        max_frames, max_context_tokens: longest window and sequence.
        with_video: whether video.onnx is written, which holds the vision encoder a second time and which no runtime on a CPU reads.
    """

    name: str
    family: str
    encoder: nn.Module
    adapter: Adapter | StreamAdapter
    fit: FitSpec
    prompt: PromptSpec
    tokenizer_json: str
    source: DecoderSource
    decoder_precision: str
    load_language: Callable[[], ReferenceLanguage]
    origins: tuple[WeightOrigin, ...]
    max_frames: int
    max_context_tokens: int
    plain_language: ReferenceLanguage | None = None
    own_tokens: Callable[[Sequence[NDArray[np.uint8]]], Tensor] | None = None
    grid: tuple[int, int] = (0, 0)
    with_video: bool = True

    @cached_property
    def language(self) -> ReferenceLanguage:
        """The LLM as a reference, loaded once."""
        return self.load_language()

    @property
    def dimensions(self) -> Dimensions:
        """Sizes for the manifest.

        Raises:
            ExportError: the adapter is made for another LLM.
        """
        sizes, decoder = self.adapter.sizes, self.source.sizes
        check_language_fits(sizes.llm_width, decoder.width)
        return Dimensions(
            num_frames=self.max_frames,
            num_patches=sizes.num_patches,
            vision_width=sizes.vision_width,
            llm_width=sizes.llm_width,
            num_motion_tokens=sizes.num_motion_tokens,
            vocabulary_size=decoder.vocabulary_size,
            num_layers=decoder.num_layers,
            num_kv_heads=decoder.num_kv_heads,
            head_width=decoder.head_width,
            max_context_tokens=self.max_context_tokens,
        )

    @property
    def rotary(self) -> RotarySpec:
        """Rotary positions for the manifest."""
        sizes = self.source.sizes
        if not sizes.rotary_sections:
            return PLAIN_ROTARY
        return RotarySpec(base=sizes.rope_base, sections=sizes.rotary_sections, grid_rows=self.grid[0], grid_columns=self.grid[1])


def check_language_fits(adapter_width: int, llm_width: int) -> None:
    """Check that an adapter was made for an LLM.

    Raises:
        ExportError: for another one.
    """
    if adapter_width != llm_width:
        raise ExportError(f"the adapter is made for an LLM of width {adapter_width}, this one has {llm_width}; train an adapter for it")
