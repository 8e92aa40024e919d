"""The export's doctor: what would fail, found in seconds and without reading the weights of a folder.

Knows what every export needs, in the order in which it needs it; does none of it.
"""

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from redvillm.errors import ExportError, RedvillmError
from redvillm.export.checkpoint import Checkpoint, find_checkpoint
from redvillm.export.checkpoint_plan import COSTS_OF_A_SMALL_LLM, DECODER_PRECISIONS, CheckpointOptions
from redvillm.export.composition import MODEL_TYPE
from redvillm.export.composition_check import CompositionCheck
from redvillm.export.estimate import ModelSize
from redvillm.export.family_check import FamilyCheck
from redvillm.export.model_check import Check, ModelCheck
from redvillm.export.targets import COSINES_OF_A_SMALL_ENCODER, Precision, choose_vision, form_of


@dataclass(frozen=True)
class Finding:
    """One check: what was looked at, whether it is in order, and in words what was found, or what is wrong and what to do."""

    name: str
    passed: bool
    words: str


@dataclass(frozen=True, kw_only=True)
class BundleSize:
    """About how large a bundle is in one precision of the LLM, in words, and one of the vision encoder.

    feature_cosine: mean cosine of patch features with those in float32, of a small encoder in this precision.
    perplexity_change: relative, what the LLM's precision costs a small LLM; None for one that came quantized.
    """

    decoder: str
    vision: Precision
    size_bytes: int
    feature_cosine: float
    perplexity_change: float | None


class CheckpointCheck:
    """The checks of one checkpoint; `size` and `bundle_sizes` are there when `findings` have come so far."""

    _precision: Precision
    _checkpoint: Checkpoint
    _model: ModelCheck

    def __init__(self, name_or_folder: str, options: CheckpointOptions, *, target: str, vision: str | None, out: Path) -> None:
        self._name, self._options, self._target, self._vision, self._out = name_or_folder, options, target, vision, out

    @property
    def size(self) -> ModelSize:
        """Numbers of parameters; AttributeError where they could not be told."""
        return self._model.size

    def bundle_sizes(self) -> tuple[BundleSize, ...]:
        """Return the sizes of all bundles that `target` can get, in precisions that make a difference; none where they could not be told."""
        if not hasattr(self, "size"):
            return ()
        return tuple(
            BundleSize(
                decoder=words,
                vision=vision,
                size_bytes=self.size.bundle_bytes(vision, form, self._target),
                feature_cosine=COSINES_OF_A_SMALL_ENCODER[vision],
                perplexity_change=COSTS_OF_A_SMALL_LLM.get(words),
            )
            for words, form in self._model.decoder_forms.items()
            for vision in form_of(self._target).precisions
        )

    def findings(self) -> Iterator[Finding]:
        """Yield one finding after the other; ends early where nothing more can be said."""
        yield from _outcomes((("target", self._check_target, True), ("checkpoint", self._find, True)))
        if not hasattr(self, "_checkpoint"):
            return
        kind = CompositionCheck if self._checkpoint.config["model_type"] == MODEL_TYPE else FamilyCheck
        self._model = kind(self._checkpoint, self._options)
        yield from _outcomes((*self._model.checks, ("memory", self._check_memory, False), ("disk", self._check_disk, False)))

    def _check_target(self) -> str:
        self._precision = choose_vision(self._target, self._vision).precision
        return f"{self._target}, vision encoder {self._precision}"

    def _find(self) -> str:
        checkpoint = find_checkpoint(self._name)
        model_type = checkpoint.config["model_type"]
        self._checkpoint = checkpoint
        return f"{checkpoint.folder}, {model_type}"

    def _check_memory(self) -> str:
        needed, free = self.size.export_memory_bytes(self._precision), psutil.virtual_memory().available
        if needed > free:
            raise ExportError(f"an export needs about {needed / 1e9:.1f} GB of memory, {free / 1e9:.1f} GB are free; use a larger machine")
        return f"about {needed / 1e9:.1f} GB needed, {free / 1e9:.1f} GB free"

    def _check_disk(self) -> str:
        needed = self.size.bundle_bytes(self._precision, DECODER_PRECISIONS[self._options.decoder], self._target)
        parent = next(folder for folder in self._out.absolute().parents if folder.exists())
        free = shutil.disk_usage(parent).free
        if 2 * needed > free:
            raise ExportError(f"{parent} has {free / 1e6:.0f} MB free, the export needs {2 * needed / 1e6:.0f} MB; free some space")
        return f"about {needed / 1e6:.0f} MB, {free / 1e6:.0f} MB free"


def _outcomes(checks: Iterable[Check]) -> Iterator[Finding]:
    for name, check, is_needed in checks:
        try:
            yield Finding(name, True, check())
        except RedvillmError as error:
            yield Finding(name, False, str(error))
            if is_needed:
                return
