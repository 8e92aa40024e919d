"""What would fail in the export of a model that was put together, part by part, without reading the weights of a folder.

Knows what each part must give the others; exports nothing.
"""

from collections.abc import Callable

import torch
import transformers

from redvillm.export.adapter import Adapter, load_adapter
from redvillm.export.checkpoint import Checkpoint, explained
from redvillm.export.checkpoint_plan import DECODER_PRECISIONS, CheckpointOptions
from redvillm.export.composition import Composition, check_vision_fits, read_composition
from redvillm.export.decoder_graph import check_sizes
from redvillm.export.decoder_sizes import DecoderSizes
from redvillm.export.gguf_source import GgufSource
from redvillm.export.plan import check_language_fits
from redvillm.export.text_llms import is_gguf, read_text_side
from redvillm.export.torch_source import TorchSource
from redvillm.export.vision_encoders import LoadedEncoder, empty_vision_encoder, load_vision_encoder

Check = tuple[str, Callable[[], str], bool]  # name, what looks and says what it found, whether nothing can be said after its failure


class CompositionCheck:
    """`checks` in the order in which they must be made."""

    _parts: Composition
    _vision: LoadedEncoder
    _adapter: Adapter

    def __init__(self, checkpoint: Checkpoint, options: CheckpointOptions) -> None:
        self._checkpoint, self._options = checkpoint, options
        self.checks: tuple[Check, ...] = (
            ("parts", self._find, True),
            ("vision encoder", self._check_vision, True),
            ("adapter", self._check_adapter, True),
            ("tokenizer, chat template", self._check_text, False),
            ("language model", self._check_language, False),
        )

    def _find(self) -> str:
        self._parts = read_composition(self._checkpoint)
        return ", ".join(path.name for path in (self._parts.vision, self._parts.language, self._parts.adapter))

    def _check_vision(self) -> str:
        path = self._parts.vision
        self._vision = empty_vision_encoder(path) if path.is_dir() else load_vision_encoder(path)
        return f"{self._vision.num_patches} patches of width {self._vision.width}, {self._vision.image_size} pixels a side"

    def _check_adapter(self) -> str:
        self._adapter = load_adapter(self._parts.adapter)
        check_vision_fits(self._vision, self._adapter)
        return f"{sum(parameter.numel() for parameter in self._adapter.parameters()) / 1e6:.1f} million parameters"

    def _check_text(self) -> str:
        return repr(read_text_side(self._parts.language, self._parts.system).prompt.before)

    def _check_language(self) -> str:
        sizes = self._language_sizes()
        check_sizes(sizes, str(self._parts.language))
        check_language_fits(self._adapter.sizes.llm_width, sizes.width)
        return f"{sizes.num_layers} layers of width {sizes.width}, {sizes.num_heads} heads, context {sizes.max_context_tokens}"

    def _language_sizes(self) -> DecoderSizes:
        path = self._parts.language
        if is_gguf(path):
            return GgufSource(path).sizes
        with explained(f"the LLM in {path}"), torch.device("meta"):
            configuration = transformers.AutoConfig.from_pretrained(path, local_files_only=True, trust_remote_code=False)
            llm = transformers.AutoModelForCausalLM.from_config(configuration)
        return TorchSource(llm.model, llm.lm_head, DECODER_PRECISIONS[self._options.decoder], origin=str(path)).sizes
