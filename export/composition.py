"""Models that are put together: a vision encoder, a text LLM, and an adapter of redvillm that was trained between them.

A folder whose config.json says where the three are:

    {"model_type": "redvillm-composed", "vision": "siglip", "language": "llm.gguf", "adapter": "adapter.safetensors", "system": "You see a video."}

Paths are relative to the folder. `redvillm-nano` is one such model, whose parts come from the zoo. Frames are squashed to the encoder's square by the
runtime's own fast filter, as in training. Knows the parts; does not know graphs.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from redvillm.errors import ExportError, OptionsError
from redvillm.export.adapter import Adapter, load_adapter, load_tuning
from redvillm.export.checkpoint import Checkpoint
from redvillm.export.efficientnet import IMAGE_SIZE
from redvillm.export.float_quantization import BlockFormat, WeightFormat
from redvillm.export.gguf_source import GgufSource
from redvillm.export.plan import BundlePlan
from redvillm.export.reference_language import ReferenceLanguage
from redvillm.export.text_llms import is_gguf, load_text_llm, read_text_side
from redvillm.export.torch_source import TorchSource
from redvillm.export.tuning import LanguageTuning
from redvillm.export.vision_encoders import LoadedEncoder, load_vision_encoder
from redvillm.files import atomic_file, sha256_of
from redvillm.manifest import FitSpec, WeightOrigin

MODEL_TYPE = "redvillm-composed"
FAMILY = "composed"
SYSTEM_PROMPT = "You see a video."
_PARTS = ("vision", "language", "adapter")


@dataclass(frozen=True, kw_only=True)
class Composition:
    """Where the parts are.

    vision: EfficientNet-Lite0 (.pth) or a folder of transformers.
    language: a GGUF file, or a folder of transformers.
    adapter: a file that `redvillm train` wrote.
    system: the system message that the adapter was trained with; empty for none.
    """

    vision: Path
    language: Path
    adapter: Path
    system: str = SYSTEM_PROMPT

    def origins(self, licence: str) -> tuple[WeightOrigin, ...]:
        """Return name and fingerprint of every file with weights."""
        return tuple(origin for part in _PARTS for origin in _origins(getattr(self, part), licence))


@dataclass(frozen=True)
class VisionSide:
    """The torch modules before the LLM, in eval mode, and how the adapter tunes the LLM."""

    encoder: nn.Module
    adapter: Adapter
    tuning: LanguageTuning
    image_size: int = IMAGE_SIZE

    @property
    def fit(self) -> FitSpec:
        """Frames are squashed, so that nothing at the border is lost."""
        return FitSpec.square(self.image_size)


@dataclass(frozen=True)
class LanguageSide:
    """An LLM, its system message, and the form of one that is not quantized yet (a GGUF stays as it is)."""

    path: Path
    system: str
    form: WeightFormat = BlockFormat(bits=4, symmetric=False)  # noqa: RUF009 (frozen)


def read_composition(checkpoint: Checkpoint) -> Composition:
    """Read config.json of a model that was put together.

    Raises:
        ExportError: an unknown or missing key, or a part that is not there.
    """
    config = {key: value for key, value in checkpoint.config.items() if key != "model_type"}
    legal = {*_PARTS, "system"}
    if unknown := sorted(set(config) - legal):
        raise ExportError(f"config.json has the unknown key {unknown[0]!r:.60}; legal are {', '.join(sorted(legal))}")
    for key in sorted(legal - {"system"} | set(config)):
        if not isinstance(config.get(key), str):
            raise ExportError(f"config.json of a {MODEL_TYPE} model wants {key!r}: a text")
    paths = {part: checkpoint.folder / config[part] for part in _PARTS}
    for part, path in paths.items():
        if not (path.is_file() or path.is_dir()):
            raise ExportError(f"config.json names {config[part]!r:.200} as {part}, which is not there; paths are relative to {checkpoint.folder}")
    return Composition(**paths, system=config.get("system", SYSTEM_PROMPT))


def write_composition(parts: Composition, folder: Path) -> None:
    """Write config.json into `folder`, with paths relative to it."""
    paths = {part: os.path.relpath(getattr(parts, part).absolute(), folder.absolute()) for part in _PARTS}
    with atomic_file(folder / "config.json") as temporary:
        temporary.write_text(json.dumps({"model_type": MODEL_TYPE, **paths, "system": parts.system}, indent=1), encoding="utf-8")


def composed_plan(parts: Composition, form: WeightFormat, **choices: Any) -> BundlePlan:
    """Return the plan of the bundle; `form` is that of an LLM which is not quantized yet, `choices` are the other fields of the plan.

    Raises:
        ExportError: a part is not what it should be, or the parts do not fit each other.
    """
    vision, adapter = load_vision_encoder(parts.vision), load_adapter(parts.adapter)
    check_vision_fits(vision, adapter)
    side = VisionSide(vision.module, adapter, load_tuning(parts.adapter), vision.image_size)
    return plan_of_sides(side, LanguageSide(parts.language, parts.system, form), **choices)


def plan_of_sides(vision: VisionSide, language: LanguageSide, **choices: Any) -> BundlePlan:
    """Join both sides of a model.

    Raises:
        ExportError: the LLM is not what it should be, or the adapter tunes another one.
    """
    text = read_text_side(language.path, language.system)
    weights = _quantized_weights(language, vision.tuning) if is_gguf(language.path) else _stored_weights(language, vision.tuning)
    return BundlePlan(
        encoder=vision.encoder,
        adapter=vision.adapter,
        fit=vision.fit,
        prompt=text.prompt,
        tokenizer_json=text.tokenizer_json,
        **weights,
        **choices,
    )


def _quantized_weights(language: LanguageSide, tuning: LanguageTuning) -> dict[str, Any]:
    """The fields of a plan for a GGUF."""

    def load_language() -> ReferenceLanguage:
        llm = load_text_llm(language.path, tuning=tuning)
        return ReferenceLanguage(llm.model, llm.lm_head)

    return {"source": GgufSource(language.path, tuning), "load_language": load_language}


def _stored_weights(language: LanguageSide, tuning: LanguageTuning) -> dict[str, Any]:
    """The fields of a plan for a folder of transformers; one model in memory serves all of them, in the type of its weights."""
    llm = load_text_llm(language.path)
    source = TorchSource(llm.model, llm.lm_head, language.form, origin=str(language.path), tuning=tuning)
    return {
        "source": source,
        "load_language": lambda: ReferenceLanguage(llm.model, llm.lm_head, source),
        "plain_language": ReferenceLanguage(llm.model, llm.lm_head) if tuning.is_empty else None,
    }


def check_vision_fits(vision: LoadedEncoder, adapter: Adapter) -> None:
    """Check that an adapter was made for an encoder.

    Raises:
        ExportError: for another one.
    """
    made_for, has = (adapter.options.num_patches, adapter.options.vision_width), (vision.num_patches, vision.width)
    if made_for != has:
        raise ExportError(
            f"the adapter is made for {made_for[0]} patches of width {made_for[1]}, the vision encoder gives {has[0]} of width {has[1]}; "
            "train an adapter for it with 'redvillm train'"
        )


def quantized_stays(parts: Composition, decoder: str, usual: str) -> str:
    """Return the precision of the LLM in words.

    Raises:
        OptionsError: one was asked for, and the LLM is quantized already.
    """
    if not is_gguf(parts.language):
        return f"{decoder} weights, float16 cache"
    if decoder != usual:
        raise OptionsError(f"{parts.language.name} is quantized already and stays as it is; leave --llm out, or give a folder of transformers")
    return "weights as in the GGUF, float16 cache"


def _origins(path: Path, licence: str) -> tuple[WeightOrigin, ...]:
    if path.is_dir():
        return Checkpoint(path, path.name).origins(licence)
    return (WeightOrigin(name=path.name, origin=path.parent.name, licence=licence, sha256=sha256_of(path)),)
