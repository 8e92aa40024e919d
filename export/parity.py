"""The parity gate: every stage of a bundle against its torch reference, on real frames.

Runs the exported graphs with ONNX Runtime exactly as files; knows thresholds; does not know how the graphs were made.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import LlamaForCausalLM

from redvillm.errors import ExportError, ParityError
from redvillm.export.adapter import Adapter
from redvillm.export.calibration import parity_frames
from redvillm.export.parity_measures import (
    TIE_NAT,
    FloatArray,
    divergence,
    greedy_agreement,
    mean_cosine,
    negative_log_likelihood,
    relative_error,
    smallest_cosine,
)
from redvillm.export.pooling import pool_streams
from redvillm.export.vision import Precision
from redvillm.kernels.decoder_library import decoder_op_calls
from redvillm.kernels.ort_library import ort_library_calls, ort_library_path
from redvillm.manifest import Dimensions, Graphs, ParityResult, Tensors
from redvillm.prompt import Prompt

QUESTION = "What is happening?"
_NUM_GREEDY_TOKENS = 32
_GREEDY_METRIC = f"share of {_NUM_GREEDY_TOKENS} tokens that agree, ties within {TIE_NAT} nat aside"
_DIVERGENCE = "Kullback-Leibler divergence, nat"
_VIDEO_STAGE = "visual tokens of video.onnx"
_FUNCTION_BODY, _CUSTOM_KERNEL = "function body", "redvillm_ort"  # what computed redvillm's own operators
_COSINE_METRIC = f"mean cosine over {_NUM_GREEDY_TOKENS} tokens"
_TEXT_SAMPLE = (
    "The harbour wakes before the town does. Two boats come in with the tide, low in the water, and a man in yellow boots throws a rope to a boy "
    "who has been waiting on the pier since dawn. Crates of fish are lifted onto the stones, gulls circle, and somebody opens the shutters of the "
    "bakery. By eight the market is full. People argue about the price of mackerel, children run between the stalls with warm bread in their hands, "
    "and the old dog of the harbour master sleeps through all of it, as he has done every morning for eleven years."
)
# (stage, metric): (limit, whether a larger value is better). Graphs in fp32 differ in the order of sums; the decoder has 8-bit activations.
_LIMITS = {
    ("vision features", "smallest cosine over patches"): (0.9999, True),
    ("vision features", "mean cosine over patches"): (0.9999, True),
    ("vision features", "largest error / largest value"): (1e-3, False),
    ("pooled streams", "largest error / largest value"): (1e-3, False),
    ("visual tokens", "smallest cosine over tokens"): (0.9999, True),
    (f"{_VIDEO_STAGE}, {_FUNCTION_BODY}", "smallest cosine over tokens"): (0.9999, True),
    (f"{_VIDEO_STAGE}, {_CUSTOM_KERNEL}", "smallest cosine over tokens"): (0.9999, True),
    **{
        (f"{stage}, {kernel}", metric): limit
        for kernel in (_FUNCTION_BODY, _CUSTOM_KERNEL)
        for (stage, metric), limit in {
            ("first-token logits", _DIVERGENCE): (0.02, False),
            # of one token it is a matter of luck: over six questions the first had 0.994 to 0.9999 and the means 0.996 to 0.9994, with all kernels
            ("answer logits", _COSINE_METRIC): (0.995, True),
            ("greedy text", _GREEDY_METRIC): (0.9, True),
            ("text sample", "relative change of the negative log-likelihood"): (0.01, False),
        }.items()
    },
    ("answer", _DIVERGENCE): (0.02, False),
    ("answer", _GREEDY_METRIC): (0.9, True),
}
# 8-bit features differ by their rounding; what counts is what the LLM makes of them.
_INT8_LIMITS = {
    ("vision features", "smallest cosine over patches"): (0.9, True),
    ("vision features", "mean cosine over patches"): (0.985, True),
    ("vision features", "largest error / largest value"): (0.5, False),
    ("pooled streams", "largest error / largest value"): (0.2, False),
    ("visual tokens", "smallest cosine over tokens"): (0.98, True),
}


@dataclass(frozen=True)
class Reference:
    """The torch model, float32, in eval mode."""

    encoder: nn.Module
    adapter: Adapter
    llm: LlamaForCausalLM


def check_parity(folder: Path, reference: Reference, prompt: Prompt, dimensions: Dimensions, vision: Precision) -> tuple[ParityResult, ...]:
    """Compare all stages of the bundle in `folder`; each exported stage is fed by the exported stage before it.

    `vision` is the precision of vision.onnx: int8 has wider limits for features, and a limit for what they do to the answer.

    Raises:
        ParityError: a stage differs by more than its limit; the message names it and gives the figures.
        ExportError: the custom op was built, but this onnxruntime does not take it.
    """
    pixels = parity_frames(dimensions.image_size)
    with torch.inference_mode():
        values = _vision_values(folder, reference, pixels, dimensions)
        visual_tokens, expected_tokens = values.pop("visual tokens"), values.pop("expected tokens")
        values["decoder"] = _decoder_values(folder, reference.llm, prompt, visual_tokens, dimensions)
        values["answer"] = _answer_values(reference.llm, prompt, visual_tokens, expected_tokens)
    limits = _LIMITS | (_INT8_LIMITS if vision == "int8" else {})
    results = tuple(
        ParityResult(stage=stage, metric=metric, value=value, limit=limit, passed=bool(value >= limit if larger_is_better else value <= limit))
        for measured in values.values()
        for (stage, metric), value in measured.items()
        for limit, larger_is_better in (limits[stage, metric],)
    )
    if failed := [result for result in results if not result.passed]:
        details = "; ".join(f"{result.stage}: {result.metric} is {result.value:.3g}, the limit is {result.limit:g}" for result in failed)
        raise ParityError(f"the exported model differs from its reference, first at stage '{failed[0].stage}' ({details}); nothing was written")
    return results


def _vision_values(folder: Path, reference: Reference, pixels: NDArray[np.uint8], dimensions: Dimensions) -> dict[str, Any]:
    num_segments = dimensions.num_motion_tokens
    expected = reference.encoder(torch.from_numpy(pixels))
    expected_streams = pool_streams(expected, num_segments)
    expected_tokens = reference.adapter(*expected_streams).numpy()
    (features,) = _run(folder / Graphs.VISION, {Tensors.PIXELS: pixels})
    streams = [stream.numpy() for stream in pool_streams(torch.from_numpy(features), num_segments)]
    names = (Tensors.TEMPORAL_POOLING, Tensors.SPATIAL_POOLING, Tensors.MOTION_ENERGY)
    (tokens,) = _run(folder / Graphs.ALIGN, dict(zip(names, streams, strict=True)))
    return {
        "vision": {
            ("vision features", "smallest cosine over patches"): smallest_cosine(features, expected.numpy()),
            ("vision features", "mean cosine over patches"): mean_cosine(features, expected.numpy()),
            ("vision features", "largest error / largest value"): relative_error(features, expected.numpy()),
        },
        "pooling": {
            ("pooled streams", "largest error / largest value"): max(
                relative_error(stream, wanted.numpy()) for stream, wanted in zip(streams, expected_streams, strict=True)
            )
        },
        "align": {
            ("visual tokens", "smallest cosine over tokens"): smallest_cosine(tokens, expected_tokens),
            **{
                (f"{_VIDEO_STAGE}, {kernel}", "smallest cosine over tokens"): smallest_cosine(video_tokens, expected_tokens)
                for kernel, video_tokens in _video_tokens(folder / Graphs.VIDEO, pixels).items()
            },
        },
        "visual tokens": tokens,
        "expected tokens": expected_tokens,
    }


def _video_tokens(graph: Path, pixels: NDArray[np.uint8]) -> dict[str, FloatArray]:
    """Visual tokens of video.onnx by what computed its pooling node: the function in the file, and the custom op where it was built."""
    feeds = {Tensors.PIXELS: pixels}
    tokens = {_FUNCTION_BODY: _run(graph, feeds)[0]}
    if library := ort_library_path():
        calls = ort_library_calls()
        tokens[_CUSTOM_KERNEL] = _run(graph, feeds, library=library)[0]
        if ort_library_calls() == calls:
            raise ParityError(
                f"{graph.name} ran without a call of the kernel in {library}: its pooling node is not the one that the library registers"
            )
    return tokens


def _answer_values(llm: LlamaForCausalLM, prompt: Prompt, visual_tokens: FloatArray, expected_tokens: FloatArray) -> dict[Any, float]:
    """What the exported visual tokens do to the answer, apart from the decoder: the torch LLM reads both and the expected answer."""
    expected_prompt = _embed_prompt(llm, prompt, expected_tokens)
    answer = _answered(llm, expected_prompt)
    sequences = (_with_answer(llm, embeddings, answer) for embeddings in (expected_prompt, _embed_prompt(llm, prompt, visual_tokens)))
    expected, logits = (llm(inputs_embeds=sequence).logits[0, -len(answer) :].numpy() for sequence in sequences)
    return {("answer", _DIVERGENCE): divergence(expected[0], logits[0]), ("answer", _GREEDY_METRIC): greedy_agreement(expected, logits)}


def _embed_prompt(llm: LlamaForCausalLM, prompt: Prompt, visual_tokens: FloatArray) -> Tensor:
    table = llm.get_input_embeddings()
    before, after = (table(torch.tensor(ids)) for ids in (prompt.prefix_ids, prompt.suffix_ids(QUESTION)))
    return torch.cat((before, torch.from_numpy(visual_tokens), after))[None]


def _answered(llm: LlamaForCausalLM, embeddings: Tensor) -> Tensor:
    """Return the greedy answer, int64 [_NUM_GREEDY_TOKENS]."""
    count = _NUM_GREEDY_TOKENS
    answer: Tensor = llm.generate(inputs_embeds=embeddings, max_new_tokens=count, min_new_tokens=count, do_sample=False, pad_token_id=0)[0]
    return answer


def _with_answer(llm: LlamaForCausalLM, embeddings: Tensor, answer: Tensor) -> Tensor:
    """Return prompt and answer without its last word: what predicts the answer."""
    return torch.cat((embeddings, llm.get_input_embeddings()(answer[:-1])[None]), dim=1)


def _decoder_values(folder: Path, llm: LlamaForCausalLM, prompt: Prompt, visual_tokens: FloatArray, dimensions: Dimensions) -> dict[Any, float]:
    """The reference answers greedily; the exported decoder reads the same tokens in one pass and must prefer the same ones."""
    embeddings = _embed_prompt(llm, prompt, visual_tokens)
    sequence = _with_answer(llm, embeddings, _answered(llm, embeddings))
    first = embeddings.shape[1] - 1
    expected = llm(inputs_embeds=sequence).logits[0, first:].numpy()
    text_ids = prompt.tokenizer.encode(_TEXT_SAMPLE, add_special_tokens=False).ids
    text = llm.get_input_embeddings()(torch.tensor(text_ids))[None]
    expected_nll = negative_log_likelihood(llm(inputs_embeds=text).logits[0].numpy(), text_ids)
    values: dict[tuple[str, str], float] = {}
    for kernel, library in _decoder_kernels().items():
        logits = run_decoder(folder, sequence.numpy(), list(range(first, sequence.shape[1])), dimensions, library=library)
        nll = negative_log_likelihood(run_decoder(folder, text.numpy(), list(range(len(text_ids))), dimensions, library=library), text_ids)
        values |= {
            (f"first-token logits, {kernel}", _DIVERGENCE): divergence(expected[0], logits[0]),
            (f"answer logits, {kernel}", _COSINE_METRIC): mean_cosine(logits, expected),
            (f"greedy text, {kernel}", _GREEDY_METRIC): greedy_agreement(expected, logits),
            (f"text sample, {kernel}", "relative change of the negative log-likelihood"): abs(nll / expected_nll - 1),
        }
    return values


def _decoder_kernels() -> dict[str, Path | None]:
    """What can compute the decoder's operators: the functions in the file, and the custom ops where they were built."""
    library = ort_library_path()
    return {_FUNCTION_BODY: None} if library is None else {_FUNCTION_BODY: None, _CUSTOM_KERNEL: library}


def run_decoder(folder: Path, embeddings: FloatArray, rows: list[int], dimensions: Dimensions, *, library: Path | None = None) -> FloatArray:
    """Run decoder.onnx once on an empty cache: embeddings [1, S, H] -> logits [len(rows), V]; `library` computes its operators.

    Raises:
        ExportError: this onnxruntime does not take the library.
        ParityError: the library was not called.
    """
    length = embeddings.shape[1]
    cache = np.zeros((1, dimensions.num_kv_heads, length, dimensions.head_width), dtype=np.float16)
    feeds: dict[str, NDArray[Any]] = {
        Tensors.INPUT_EMBEDDINGS: embeddings,
        Tensors.LOGITS_INDICES: np.array(rows, dtype=np.int64),
        Tensors.LAST_POSITION: np.array([length - 1], dtype=np.int32),
        Tensors.SEQUENCE_LENGTH: np.array(length, dtype=np.int32),
    }
    for layer in range(dimensions.num_layers):
        feeds |= {Tensors.past(layer, "key"): cache, Tensors.past(layer, "value"): cache}
    calls = 0 if library is None else decoder_op_calls()
    (logits,) = _run(folder / Graphs.DECODER, feeds, [Tensors.LOGITS], library=library)
    if library is not None and decoder_op_calls() == calls:
        raise ParityError(f"{Graphs.DECODER} ran without a call of the kernels in {library}: its nodes are not those that the library registers")
    return logits


def _run(graph: Path, feeds: dict[str, NDArray[Any]], outputs: list[str] | None = None, *, library: Path | None = None) -> list[FloatArray]:
    options = onnxruntime.SessionOptions()
    if library is not None:
        try:
            options.register_custom_ops_library(str(library))
        except Exception as error:  # the library's errors have no common base
            raise ExportError(f"{library} cannot be registered with this onnxruntime ({error!s:.200}); install redvillm again") from error
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    results: list[FloatArray] = session.run(outputs, feeds)
    return results
