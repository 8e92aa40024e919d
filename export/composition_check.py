"""What would fail in the export of a model that was put together, part by part, without reading the weights of a folder.

Knows what each part must give the others; exports nothing.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

import transformers

from redvillm.export.adapter import Adapter, load_adapter
from redvillm.export.checkpoint import Checkpoint, empty_model, explained
from redvillm.export.checkpoint_plan import DECODER_PRECISIONS, CheckpointOptions, composed_precision
from redvillm.export.composition import Composition, check_vision_fits, read_composition
from redvillm.export.decoder_sizes import DecoderSizes
from redvillm.export.estimate import ModelSize, size_of
from redvillm.export.float_quantization import WeightFormat
from redvillm.export.gguf_source import GgufSource
from redvillm.export.model_check import Check, check_decoder, check_weights
from redvillm.export.plan import check_language_fits
from redvillm.export.text_llms import is_gguf, read_text_side
from redvillm.export.torch_source import TorchSource
from redvillm.export.vision_encoders import LoadedEncoder, empty_vision_encoder, load_vision_encoder


class CompositionCheck:
    """A redvillm.export.model_check.ModelCheck."""

    size: ModelSize
    _parts: Composition
    _vision: LoadedEncoder
    _adapter: Adapter

    def __init__(self, checkpoint: Checkpoint, options: CheckpointOptions) -> None:
        self._checkpoint, self._options = checkpoint, options
        self.checks: tuple[Check, ...] = (
            ("parts", self._find, True),
            ("options", lambda: composed_precision(self._parts, options), False),
            ("weights of the vision encoder", partial(self._check_weights, "vision"), False),
            ("weights of the language model", partial(self._check_weights, "language"), False),
            ("vision encoder", self._check_vision, True),
            ("adapter", self._check_adapter, True),
            ("language model", self._check_language, True),
            ("tokenizer, chat template", self._check_text, False),
        )

    @property
    def decoder_forms(self) -> Mapping[str, WeightFormat]:
        """Precisions that the LLM can get; one that is quantized already has its own, in whatever form."""
        form = DECODER_PRECISIONS[self._options.decoder]
        return {"as in the GGUF": form} if is_gguf(self._parts.language) else DECODER_PRECISIONS

    def _find(self) -> str:
        self._parts = read_composition(self._checkpoint)
        return ", ".join(path.name for path in (self._parts.vision, self._parts.language, self._parts.adapter))

    def _check_weights(self, part: Literal["vision", "language"]) -> str:
        path: Path = getattr(self._parts, part)
        if path.is_dir():
            return check_weights(Checkpoint(path, path.name).weight_files())
        return f"{path.stat().st_size / 1e6:.0f} MB, opened below"

    def _check_vision(self) -> str:
        path = self._parts.vision
        self._vision = empty_vision_encoder(path) if path.is_dir() else load_vision_encoder(path)
        return f"{self._vision.num_patches} patches of width {self._vision.width}, {self._vision.image_size} pixels a side"

    def _check_adapter(self) -> str:
        self._adapter = load_adapter(self._parts.adapter)
        check_vision_fits(self._vision, self._adapter)
        return f"{sum(parameter.numel() for parameter in self._adapter.parameters()) / 1e6:.1f} million parameters"

    def _check_language(self) -> str:
        size, sizes = self._language_size()
        words = check_decoder(sizes, str(self._parts.language))
        check_language_fits(self._adapter.sizes.llm_width, sizes.width)
        vision = sum(parameter.numel() for module in (self._vision.module, self._adapter) for parameter in module.parameters())
        self.size = replace(size, vision=vision, stored_bytes=size.stored_bytes + 4 * vision)  # loaded as float32
        return words

    def _language_size(self) -> tuple[ModelSize, DecoderSizes]:
        path = self._parts.language
        if is_gguf(path):
            stored = GgufSource(path)
            stored.check_types()
            return stored.size, stored.sizes
        with explained(f"the LLM in {path}"):
            llm = empty_model(transformers.AutoModelForCausalLM, path)
            source = TorchSource(llm.model, llm.lm_head, DECODER_PRECISIONS[self._options.decoder], origin=str(path))
            return size_of(llm, llm.model), source.sizes

    def _check_text(self) -> str:
        return repr(read_text_side(self._parts.language, self._parts.system).prompt.before)
