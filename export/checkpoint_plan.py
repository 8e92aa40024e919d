"""The plan of a bundle from a checkpoint of an Image LLM.

Joins checkpoint, family and quantization; does not know what is inside of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from redvillm.errors import OptionsError
from redvillm.export.checkpoint import Checkpoint, explained
from redvillm.export.composition import FAMILY, MODEL_TYPE, Composition, composed_plan, quantized_stays, read_composition
from redvillm.export.families.registry import family_of
from redvillm.export.float_quantization import BlockFormat, HalfFormat, WeightFormat
from redvillm.export.image_llm import ImageLLM, TakeOptions
from redvillm.export.plan import BundlePlan
from redvillm.export.reference_language import ReferenceLanguage
from redvillm.export.torch_source import TorchSource

DECODER_PRECISIONS: Mapping[str, WeightFormat] = {
    "int4": BlockFormat(bits=4, symmetric=False),
    "int4-symmetric": BlockFormat(bits=4, symmetric=True),
    "int8": BlockFormat(bits=8, symmetric=True),
    "fp16": HalfFormat(),
}
# Relative change of the perplexity of captions, SmolLM2-135M in another basis: measured by redvillm.benchmarks.precision_cost (docs/families.md).
COSTS_OF_A_SMALL_LLM = {"int4": 0.247, "int4-symmetric": 0.462, "int8": 0.0026, "fp16": 0.0001}
SMALL_LLM = 1_000_000_000  # weights; how much less larger ones lose was not measured
_DEFAULT_DECODER = "int4"
_DEFAULT_FRAMES, _DEFAULT_CONTEXT_TOKENS = 16, 2048


@dataclass(frozen=True, kw_only=True)
class CheckpointOptions:
    """What a user may choose.

    decoder: precision of the LLM, a key of DECODER_PRECISIONS.
    max_frames: longest window.
    max_context_tokens: longest sequence; None for the smaller of 2048 and what the LLM was trained for.
    licence: of the weights, for the manifest.
    take: what the family may be asked for.
    """

    decoder: str = _DEFAULT_DECODER
    max_frames: int = _DEFAULT_FRAMES
    max_context_tokens: int | None = None
    licence: str = "as the checkpoint says"
    take: TakeOptions = TakeOptions()  # noqa: RUF009 (frozen)

    def __post_init__(self) -> None:
        if self.decoder not in DECODER_PRECISIONS:
            raise OptionsError(f"{self.decoder!r:.40} is not a precision of the LLM; legal are {', '.join(DECODER_PRECISIONS)}")
        if not 1 <= self.max_frames <= 1024:
            raise OptionsError(f"max_frames is {self.max_frames}; 1 to 1024 are legal")


def checkpoint_plan(checkpoint: Checkpoint, options: CheckpointOptions) -> BundlePlan:
    """Load a checkpoint and return the plan of its bundle.

    Raises:
        ExportError: an unknown family, or a checkpoint that cannot be loaded.
        OptionsError: an option that does not fit the family.
    """
    if checkpoint.config["model_type"] == MODEL_TYPE:
        return _composed(checkpoint, options)
    family = family_of(checkpoint.config["model_type"])
    processing = checkpoint.load_processing()
    model = checkpoint.load_model()
    with explained(f"{checkpoint.folder} as a model of the type {checkpoint.config['model_type']}"):
        return plan_of(family.take_apart(model, processing, options.take), checkpoint, options)


def composed_precision(parts: Composition, options: CheckpointOptions) -> str:
    """Return the precision of the LLM of a model that was put together, in words.

    Raises:
        OptionsError: an option that does not fit such a model.
    """
    if options.take != TakeOptions():
        raise OptionsError("the vision encoder of a model that was put together has a size of its own; leave --frame-size out")
    return quantized_stays(parts, options.decoder, _DEFAULT_DECODER)


def _composed(checkpoint: Checkpoint, options: CheckpointOptions) -> BundlePlan:
    parts = read_composition(checkpoint)
    precision = composed_precision(parts, options)
    plan = composed_plan(
        parts,
        DECODER_PRECISIONS[options.decoder],
        name=checkpoint.origin.rsplit("/", maxsplit=1)[-1],
        family=FAMILY,
        decoder_precision=precision,
        origins=parts.origins(options.licence),
        max_frames=options.max_frames,
        max_context_tokens=options.max_context_tokens or _DEFAULT_CONTEXT_TOKENS,
        with_video=False,
    )
    longest = plan.source.sizes.max_context_tokens
    return plan if options.max_context_tokens else replace(plan, max_context_tokens=min(longest, _DEFAULT_CONTEXT_TOKENS))


def plan_of(parts: ImageLLM, checkpoint: Checkpoint, options: CheckpointOptions) -> BundlePlan:
    """Return the plan for the parts of an Image LLM. The vision encoder becomes float32."""
    source = TorchSource(parts.language, parts.head, DECODER_PRECISIONS[options.decoder], origin=checkpoint.origin)
    longest = source.sizes.max_context_tokens
    encoder, adapter = parts.encoder.float(), parts.adapter.float()
    choices: dict[str, Any] = {
        "name": checkpoint.origin.rsplit("/", maxsplit=1)[-1],
        "decoder_precision": f"{options.decoder} weights, float16 cache",
        "max_frames": options.max_frames,
        "max_context_tokens": options.max_context_tokens or min(longest, _DEFAULT_CONTEXT_TOKENS),
    }
    return BundlePlan(
        family=parts.family,
        encoder=encoder,
        adapter=adapter,
        fit=parts.fit,
        prompt=parts.prompt,
        tokenizer_json=parts.tokenizer_json,
        source=source,
        load_language=lambda: ReferenceLanguage(parts.language, parts.head, source),
        plain_language=ReferenceLanguage(parts.language, parts.head),
        own_tokens=parts.own_tokens,
        grid=parts.grid,
        origins=checkpoint.origins(options.licence),
        with_video=False,
        **choices,
    )
