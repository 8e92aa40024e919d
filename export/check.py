"""The export's doctor: what would fail, found in seconds and without reading a weight.

Knows what an export needs, in the order in which it needs it; does none of it.
"""

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import torch
import transformers
from safetensors import SafetensorError, safe_open

from redvillm.errors import ExportError, RedvillmError
from redvillm.export.checkpoint import Checkpoint, find_checkpoint
from redvillm.export.checkpoint_plan import DECODER_PRECISIONS, CheckpointOptions
from redvillm.export.composition import MODEL_TYPE
from redvillm.export.composition_check import Check, CompositionCheck
from redvillm.export.decoder_graph import check_sizes
from redvillm.export.estimate import ModelSize, size_of
from redvillm.export.families.common import tokenizer_json_of
from redvillm.export.families.registry import Family, family_of
from redvillm.export.targets import Precision, choose_vision
from redvillm.export.torch_source import TorchSource


@dataclass(frozen=True)
class Finding:
    """One check: what was looked at, whether it is in order, and in words what was found, or what is wrong and what to do."""

    name: str
    passed: bool
    words: str


class CheckpointCheck:
    """The checks of one checkpoint; `size` is there when `findings` have come so far."""

    size: ModelSize
    _precision: Precision
    _checkpoint: Checkpoint
    _family: Family
    _model: Any

    def __init__(self, name_or_folder: str, options: CheckpointOptions, *, target: str, vision: str | None, out: Path) -> None:
        self._name, self._options, self._target, self._vision, self._out = name_or_folder, options, target, vision, out

    def findings(self) -> Iterator[Finding]:
        """Yield one finding after the other; ends early where nothing more can be said."""
        checks = (
            ("target", self._check_target, True),
            ("checkpoint", self._find, True),
        )
        yield from _outcomes(checks)
        if not hasattr(self, "_checkpoint"):
            return
        if self._checkpoint.config["model_type"] == MODEL_TYPE:
            yield from _outcomes(CompositionCheck(self._checkpoint, self._options).checks)
            return
        yield from _outcomes(self._family_checks())

    def _family_checks(self) -> tuple[Check, ...]:
        return (
            ("weights", self._check_weights, False),
            ("processor, tokenizer, chat template", self._check_processing, False),
            ("family", self._find_family, True),
            ("configuration", self._make_empty, True),
            ("language model", self._check_language, True),
            ("memory", self._check_memory, False),
            ("disk", self._check_disk, False),
        )

    def _check_target(self) -> str:
        self._precision = choose_vision(self._target, self._vision).precision
        return f"{self._target}, vision encoder {self._precision}"

    def _find(self) -> str:
        checkpoint = find_checkpoint(self._name)
        model_type = checkpoint.config["model_type"]
        self._checkpoint = checkpoint
        return f"{checkpoint.folder}, {model_type}"

    def _check_weights(self) -> str:
        files = self._checkpoint.weight_files()
        for path in files:
            if path.suffix == ".safetensors":
                check_header(path)
        return f"{len(files)} files of {sum(path.stat().st_size for path in files) / 1e6:.0f} MB"

    def _check_processing(self) -> str:
        processing = self._checkpoint.load_processing()
        tokenizer_json_of(processing)
        return f"{type(processing.images).__name__}, {type(processing.tokenizer).__name__}"

    def _find_family(self) -> str:
        self._family = family_of(self._checkpoint.config["model_type"])
        return ", ".join(self._family.MODEL_TYPES)

    def _make_empty(self) -> str:
        try:
            config = transformers.AutoConfig.from_pretrained(self._checkpoint.folder, local_files_only=True, trust_remote_code=False)
            with torch.device("meta"):
                self._model = transformers.AutoModelForImageTextToText.from_config(config)
        except Exception as error:  # the library's errors have no common base
            raise ExportError(
                f"config.json does not describe a model ({type(error).__name__}: {' '.join(str(error).split()):.200}); fetch the checkpoint again"
            ) from error
        return f"{sum(parameter.numel() for parameter in self._model.parameters()) / 1e6:.0f} million parameters"

    def _check_language(self) -> str:
        language = self._family.language_of(self._model)
        form = DECODER_PRECISIONS[self._options.decoder]
        source = TorchSource(language, self._model.lm_head, form, origin=self._checkpoint.origin)
        check_sizes(source.sizes, source.origin)
        self.size, sizes = size_of(self._model, language), source.sizes
        return f"{sizes.num_layers} layers of width {sizes.width}, {sizes.num_heads} heads, context {sizes.max_context_tokens}"

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


def check_header(path: Path) -> None:
    """Check that a file of safetensors is whole: its header says how long it is.

    Raises:
        ExportError: it is damaged.
    """
    try:
        with safe_open(path, framework="pt") as archive:
            archive.keys()
    except (OSError, SafetensorError) as error:
        raise ExportError(f"{path} is damaged ({error}); fetch it again") from error
