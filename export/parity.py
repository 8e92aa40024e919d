"""The parity gate: every stage of a bundle against its torch reference, on real frames.

The decoder is compared with a reference that has the exported weights, so that its limits are those of arithmetic; what quantization costs the
answer is a stage of its own. Knows stages and limits; does not know how anything was made or measured.
"""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from redvillm.errors import ExportError, ParityError
from redvillm.export.bisect import first_differing_layer, first_differing_value
from redvillm.export.calibration import parity_frames, shipped_frames
from redvillm.export.half_range import HALF_METRIC, HALF_STAGE, half_range_values
from redvillm.export.parity_language import (
    COSINE_METRIC,
    DIVERGENCE,
    GREEDY_METRIC,
    NUM_GREEDY_TOKENS,
    TEXT_METRIC,
    DecoderCheck,
    PromptSequence,
    prompt_sequence,
)
from redvillm.export.parity_vision import (
    CUSTOM_KERNEL,
    FUNCTION_BODY,
    ORDER_METRIC,
    ORDER_STAGE,
    VIDEO_STAGE,
    Values,
    own_token_values,
    pooling_order_values,
    vision_values,
)
from redvillm.export.plan import BundlePlan
from redvillm.export.targets import VisionChoice
from redvillm.export.vision import export_vision
from redvillm.fitting import fit_with_pillow
from redvillm.manifest import Graphs, ParityResult, Tensors
from redvillm.prompt import Prompt

Limits = Mapping[tuple[str, str], tuple[float, bool]]
# (stage, metric): (limit, whether a larger value is better). Graphs in fp32 differ in the order of sums; the decoder has 8-bit activations.
_LIMITS = {
    ("vision features", "smallest cosine over patches"): (0.9999, True),
    ("vision features", "mean cosine over patches"): (0.9999, True),
    ("vision features", "largest error / largest value"): (1e-3, False),
    ("pooled streams", "largest error / largest value"): (1e-3, False),
    ("visual tokens", "smallest cosine over tokens"): (0.9999, True),
    (f"{VIDEO_STAGE}, {FUNCTION_BODY}", "smallest cosine over tokens"): (0.9999, True),
    (f"{VIDEO_STAGE}, {CUSTOM_KERNEL}", "smallest cosine over tokens"): (0.9999, True),
    **{
        (f"{stage}, {kernel}", metric): limit
        for kernel in (FUNCTION_BODY, CUSTOM_KERNEL)
        for (stage, metric), limit in {
            ("first-token logits", DIVERGENCE): (0.02, False),
            # of one token it is a matter of luck: over six questions the first had 0.994 to 0.9999 and the means 0.996 to 0.9994, with all kernels
            ("answer logits", COSINE_METRIC): (0.995, True),
            ("greedy text", GREEDY_METRIC): (0.9, True),
            ("text sample", TEXT_METRIC): (0.01, False),
        }.items()
    },
    ("answer", DIVERGENCE): (0.02, False),
    ("answer", COSINE_METRIC): (0.99, True),
    ("answer", GREEDY_METRIC): (0.9, True),
    ("tokens of single frames, own processor", "mean cosine over tokens"): (0.99, True),
    (HALF_STAGE, HALF_METRIC): (0.25, False),  # other prompts have other values
    (ORDER_STAGE, ORDER_METRIC): (-1, True),  # measured, not judged: it is what the method does
}
# Ten bits of fraction: redvillm-nano, with 50 layers the worst of what was tried, has 0.9992, 0.9999, 0.030, 0.012 and 0.99998.
_FP16_LIMITS = {
    ("vision features", "smallest cosine over patches"): (0.998, True),
    ("vision features", "mean cosine over patches"): (0.9995, True),
    ("vision features", "largest error / largest value"): (0.05, False),
    ("pooled streams", "largest error / largest value"): (0.03, False),
    ("visual tokens", "smallest cosine over tokens"): (0.999, True),
    (f"{VIDEO_STAGE}, {FUNCTION_BODY}", "smallest cosine over tokens"): (0.999, True),
    (f"{VIDEO_STAGE}, {CUSTOM_KERNEL}", "smallest cosine over tokens"): (0.999, True),
}
# 8-bit features differ by their rounding; what counts is what the LLM makes of them.
_INT8_LIMITS = {
    ("vision features", "smallest cosine over patches"): (0.9, True),
    ("vision features", "mean cosine over patches"): (0.985, True),
    ("vision features", "largest error / largest value"): (0.5, False),
    ("pooled streams", "largest error / largest value"): (0.2, False),
    ("visual tokens", "smallest cosine over tokens"): (0.98, True),
}
# On TensorRT the encoder of video.onnx is that of vision.onnx.
_INT8_VIDEO_LIMITS = {(f"{VIDEO_STAGE}, {kernel}", "smallest cosine over tokens"): (0.98, True) for kernel in (FUNCTION_BODY, CUSTOM_KERNEL)}


# A model that is quantized when it is exported pays for it in the answer; one that came quantized does not. How many words stay the best ones says
# little about random weights, whose words are all about as likely: there 4 bits leave half of them.
_QUANTIZED_LIMITS = {
    "int4": {("answer", DIVERGENCE): (0.5, False), ("answer", COSINE_METRIC): (0.9, True), ("answer", GREEDY_METRIC): (0.3, True)},
    "int8": {("answer", DIVERGENCE): (0.05, False), ("answer", COSINE_METRIC): (0.99, True), ("answer", GREEDY_METRIC): (0.85, True)},
    "fp16": {("answer", DIVERGENCE): (0.05, False), ("answer", COSINE_METRIC): (0.99, True), ("answer", GREEDY_METRIC): (0.85, True)},
}


def check_parity(folder: Path, plan: BundlePlan, choice: VisionChoice) -> tuple[ParityResult, ...]:
    """Compare all stages of the bundle in `folder`; each exported stage is fed by the exported stage before it.

    fp16 and int8 have wider limits for features. Graphs for GPUs are run on the CPU too: those in float16 node by node, each result rounded as a
    device would store it.

    Raises:
        ParityError: a stage differs by more than its limit; the message names it and gives the figures.
        ExportError: the context is too short, or the custom op was built, but this onnxruntime does not take it.
    """
    values, visual_tokens, expected_tokens = vision_values(folder, plan, parity_frames(plan.fit), half=choice.half)
    values |= _own_token_values(plan) | pooling_order_values(plan, parity_frames(plan.fit))
    limits = _limits(plan, choice)
    if not np.isfinite(visual_tokens).all():  # nothing to ask the LLM about
        failed = [result for result in _judged(values, limits) if not result.passed]
        raise ParityError(f"{_words(failed)}; {_vision_beginning(folder, plan, failed[0], choice)}; nothing was written")
    prompt = Prompt(plan.tokenizer_json, plan.prompt)
    asked = prompt_sequence(plan.language, prompt, visual_tokens, plan.rotary)
    if (needed := asked.length + NUM_GREEDY_TOKENS) > plan.max_context_tokens:
        raise ExportError(f"a context of {plan.max_context_tokens} tokens is too short: a short question about 8 frames and its answer have {needed}")
    check = DecoderCheck(folder, plan.dimensions, plan.rotary, plan.language, asked)
    values |= check.values(prompt)
    plain = plan.plain_language or plan.language
    values |= check.compared("answer", plain, prompt_sequence(plain, prompt, expected_tokens, plan.rotary), asked)
    values |= half_range_values(folder, plan, asked) if choice.form.half else {}
    results = _judged(values, limits)
    if failed := [result for result in results if not result.passed]:
        beginning = _decoder_beginning(folder, plan, check, asked, failed[0]) or _vision_beginning(folder, plan, failed[0], choice)
        raise ParityError(f"{_words(failed)}; {beginning}; nothing was written")
    return results


def _decoder_beginning(folder: Path, plan: BundlePlan, check: DecoderCheck, asked: PromptSequence, failed: ParityResult) -> str:
    """Say where the first failed stage goes wrong, if it is one of the decoder."""
    for kernel in (FUNCTION_BODY, CUSTOM_KERNEL):
        if failed.stage.endswith(kernel) and not failed.stage.startswith(VIDEO_STAGE):
            return first_differing_layer(folder, plan, asked, library=check.library_of(kernel))
    if failed.stage == HALF_STAGE:
        return "a GPU would store infinity for some prompts: take --llm int8 or int4, whose products are float32 there"
    return ""


def _vision_beginning(folder: Path, plan: BundlePlan, failed: ParityResult, choice: VisionChoice) -> str:
    if failed.stage == "vision features":
        with tempfile.TemporaryDirectory() as place:
            exact = Path(place) / Graphs.VISION
            export_vision(plan.encoder, plan.fit, exact, VisionChoice(choice.target, "fp32"))
            return first_differing_value(exact, folder / Graphs.VISION, {Tensors.PIXELS: parity_frames(plan.fit)})
    return "the stages before it agree"


def _own_token_values(plan: BundlePlan) -> Values:
    if plan.own_tokens is None:
        return {}
    frames = shipped_frames()[:2]
    pixels = np.stack([fit_with_pillow(frame, plan.fit) for frame in frames])
    return own_token_values(plan, pixels, plan.own_tokens(frames).numpy())


def _limits(plan: BundlePlan, choice: VisionChoice) -> Limits:
    chosen = next(
        (limits for name, limits in _QUANTIZED_LIMITS.items() if plan.plain_language is not None and plan.decoder_precision.startswith(name)), {}
    )
    coarse: Limits = _FP16_LIMITS if choice.half else {}
    if choice.precision == "int8":
        coarse = {**coarse, **_INT8_LIMITS, **(_INT8_VIDEO_LIMITS if choice.half else {})}
    return {**_LIMITS, **coarse, **chosen}


def _judged(values: Values, limits: Limits) -> tuple[ParityResult, ...]:
    results = []
    for (stage, metric), value in values.items():
        limit, larger_is_better = limits[stage, metric]
        passed = bool(value >= limit if larger_is_better else value <= limit)
        results.append(ParityResult(stage=stage, metric=metric, value=value, limit=limit, passed=passed))
    return tuple(results)


def _words(failed: Sequence[ParityResult]) -> str:
    details = "; ".join(f"{result.stage}: {result.metric} is {result.value:.3g}, the limit is {result.limit:g}" for result in failed)
    return f"the exported model differs from its reference, first at stage '{failed[0].stage}' ({details})"
