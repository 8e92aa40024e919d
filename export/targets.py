"""The targets that bundles can be exported for, and what each takes. Knows names only."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from redvillm.errors import OptionsError
from redvillm.manifest import TARGETS, VISION_PRECISIONS

Precision = Literal["int8", "fp16", "fp32"]


@dataclass(frozen=True, kw_only=True)
class TargetForm:
    """What the graphs before the LLM look like for a target.

    precisions: legal ones of the vision encoder; the first is the default.
    refusals: why the others are not legal, and what to do instead.
    attention: the operator, as `export.attention` names it.
    half: whether what is neither float32 nor in 8 bits is in float16.
    whole_clips: whether video.onnx is written; None leaves that to the plan.
    """

    precisions: tuple[Precision, ...]
    refusals: Mapping[Precision, str]
    attention: Literal["fused", "plain"]
    half: bool
    whole_clips: bool | None


# Mean cosine of patch features with those in float32, EfficientNet-Lite0 on the frames of the parity gate, from exports of
# redvillm-nano; 8 bits have 0.993 in the form for CPUs and 0.987 in that for TensorRT.
COSINES_OF_A_SMALL_ENCODER: Mapping[Precision, float] = {"fp32": 1.0, "fp16": 0.9999, "int8": 0.99}

TARGET_FORMS: Mapping[str, TargetForm] = {
    "cpu": TargetForm(
        precisions=("int8", "fp32"),
        refusals={"fp16": "ONNX Runtime computes float16 graphs in float32 on a CPU, and converts on the way; int8 is what is fast there"},
        attention="fused",
        half=False,
        whole_clips=None,
    ),
    "cuda": TargetForm(
        precisions=("fp16", "fp32"),
        refusals={"int8": "ONNX Runtime has no fast 8-bit kernels for CUDA; take fp16, or --target tensorrt"},
        attention="fused",
        half=True,
        whole_clips=False,
    ),
    "tensorrt": TargetForm(precisions=("fp16", "fp32", "int8"), refusals={}, attention="plain", half=True, whole_clips=True),
}


def form_of(target: str) -> TargetForm:
    """Return the form of a target.

    Raises:
        OptionsError: not one of TARGETS.
    """
    if target not in TARGETS:
        raise OptionsError(f"{target!r:.40} is not a target; legal targets are {', '.join(TARGETS)}")
    return TARGET_FORMS[target]


@dataclass(frozen=True)
class VisionChoice:
    """A target and a precision that it takes; `calibration` are the user's images and videos for 8 bits, none for those of the package."""

    target: str
    precision: Precision
    calibration: tuple[Path, ...] = ()

    @property
    def form(self) -> TargetForm:
        """Of the target."""
        return TARGET_FORMS[self.target]

    @property
    def half(self) -> bool:
        """Whether anything is computed in float16."""
        return self.form.half and self.precision != "fp32"

    @property
    def words(self) -> str:
        """The precision for the manifest; the first word is that of the products."""
        rest = ", float16 between them" if self.half else ""
        own = ", calibrated on own frames" if self.calibration else ""
        words = {"int8": f"int8 weights and activations{rest}, float32 features{own}", "fp16": "float16, float32 features", "fp32": "float32"}
        return words[self.precision]


PLAIN_VISION = VisionChoice("cpu", "fp32")


def choose_vision(target: str, asked: str | None, calibration: tuple[Path, ...] = ()) -> VisionChoice:
    """Return target and precision of the vision encoder: the one that was asked for, or the target's own.

    Raises:
        OptionsError: an unknown target, an unknown precision, or one that the target does not take; or frames for a precision that takes none.
    """
    form = form_of(target)
    precision = form.precisions[0] if asked is None else _legal(form, target, asked)
    if calibration and precision != "int8":
        raise OptionsError(f"frames to calibrate on are for a vision encoder in int8, not in {precision}; leave them out, or take --vision int8")
    return VisionChoice(target, precision, calibration)


def _legal(form: TargetForm, target: str, asked: str) -> Precision:
    legal = f"legal for target {target} are {', '.join(form.precisions)}"
    if asked not in VISION_PRECISIONS:
        raise OptionsError(f"{asked!r:.40} is not a precision of the vision encoder; {legal}")
    precision = cast(Precision, asked)
    if precision not in form.precisions:
        raise OptionsError(f"target {target} does not take --vision {asked}: {form.refusals[precision]}; {legal}")
    return precision
