"""What would fail in the export of a checkpoint of a family, without reading a weight.

Knows what a family needs of a checkpoint; exports nothing.
"""

from typing import Any

import transformers

from redvillm.errors import ExportError
from redvillm.export.checkpoint import Checkpoint, empty_model
from redvillm.export.checkpoint_plan import DECODER_PRECISIONS, CheckpointOptions
from redvillm.export.estimate import ModelSize, size_of
from redvillm.export.families.common import tokenizer_json_of
from redvillm.export.families.registry import Family, family_of
from redvillm.export.model_check import Check, check_decoder, check_weights
from redvillm.export.torch_source import TorchSource


class FamilyCheck:
    """A redvillm.export.model_check.ModelCheck."""

    size: ModelSize
    _family: Family
    _model: Any

    def __init__(self, checkpoint: Checkpoint, options: CheckpointOptions) -> None:
        self._checkpoint, self._options = checkpoint, options
        self.decoder_forms = DECODER_PRECISIONS
        self.checks: tuple[Check, ...] = (
            ("weights", self._check_weights, False),
            ("processor, tokenizer, chat template", self._check_processing, False),
            ("family", self._find_family, True),
            ("configuration", self._make_empty, True),
            ("language model", self._check_language, True),
        )

    def _check_weights(self) -> str:
        return check_weights(self._checkpoint.weight_files())

    def _check_processing(self) -> str:
        processing = self._checkpoint.load_processing()
        tokenizer_json_of(processing)
        return f"{type(processing.images).__name__}, {type(processing.tokenizer).__name__}"

    def _find_family(self) -> str:
        self._family = family_of(self._checkpoint.config["model_type"])
        return ", ".join(self._family.MODEL_TYPES)

    def _make_empty(self) -> str:
        try:
            self._model = empty_model(transformers.AutoModelForImageTextToText, self._checkpoint.folder)
        except Exception as error:  # the library's errors have no common base
            raise ExportError(
                f"config.json does not describe a model ({type(error).__name__}: {' '.join(str(error).split()):.200}); fetch the checkpoint again"
            ) from error
        return f"{sum(parameter.numel() for parameter in self._model.parameters()) / 1e6:.0f} million parameters"

    def _check_language(self) -> str:
        language = self._family.language_of(self._model)
        form = DECODER_PRECISIONS[self._options.decoder]
        source = TorchSource(language, self._model.lm_head, form, origin=self._checkpoint.origin)
        words = check_decoder(source.sizes, source.origin)
        self.size = size_of(self._model, language)
        return words
