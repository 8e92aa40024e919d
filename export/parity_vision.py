"""The stages before the LLM against their references: patch features, pooled streams, visual tokens.

Knows graphs and torch modules; does not know limits.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from redvillm.errors import ParityError
from redvillm.export.graph_run import FloatArray, run_graph
from redvillm.export.image_llm import StreamAdapter, VisionParts
from redvillm.export.node_runner import run_half_graph
from redvillm.export.parity_measures import mean_cosine, relative_error, smallest_cosine
from redvillm.export.pooling import pool_streams
from redvillm.kernels.ort_library import ort_library_calls, ort_library_path
from redvillm.manifest import Graphs, Tensors

Run = Callable[..., list[FloatArray]]
Values = dict[tuple[str, str], float]
VIDEO_STAGE = "visual tokens of video.onnx"
ORDER_STAGE, ORDER_METRIC = "pooling before alignment", "mean cosine with alignment before pooling"
FUNCTION_BODY, CUSTOM_KERNEL = "function body", "redvillm_ort"  # what computed redvillm's own operators
_STREAMS = (Tensors.TEMPORAL_POOLING, Tensors.SPATIAL_POOLING, Tensors.MOTION_ENERGY)


def vision_values(folder: Path, parts: VisionParts, pixels: NDArray[np.uint8], *, half: bool = False) -> tuple[Values, FloatArray, FloatArray]:
    """Return the measures, the exported visual tokens and those of the torch modules; each exported stage is fed by the one before it.

    `half` is for graphs that compute in float16: they are run node by node, so that each result is what float16 can hold.
    """
    run = run_half_graph if half else run_graph
    num_motion = parts.adapter.sizes.num_motion_tokens
    with torch.inference_mode():
        expected = parts.encoder(torch.from_numpy(pixels))
        expected_streams = pool_streams(expected, num_motion)[: 3 if num_motion else 2]
        expected_tokens = parts.adapter(*expected_streams).numpy()
    (features,) = run(folder / Graphs.VISION, {Tensors.PIXELS: pixels})
    streams = [stream.numpy() for stream in pool_streams(torch.from_numpy(features), num_motion)[: len(expected_streams)]]
    (tokens,) = run(folder / Graphs.ALIGN, dict(zip(_STREAMS, streams, strict=False)))
    errors = [relative_error(stream, wanted.numpy()) for stream, wanted in zip(streams, expected_streams, strict=True)]
    values = {
        ("vision features", "smallest cosine over patches"): smallest_cosine(features, expected.numpy()),
        ("vision features", "mean cosine over patches"): mean_cosine(features, expected.numpy()),
        ("vision features", "largest error / largest value"): relative_error(features, expected.numpy()),
        ("pooled streams", "largest error / largest value"): max(errors),
        ("visual tokens", "smallest cosine over tokens"): smallest_cosine(tokens, expected_tokens),
    }
    for kernel, video_tokens in _video_tokens(folder / Graphs.VIDEO, pixels, run).items() if (folder / Graphs.VIDEO).exists() else ():
        values[f"{VIDEO_STAGE}, {kernel}", "smallest cosine over tokens"] = smallest_cosine(video_tokens, expected_tokens)
    return values, tokens, expected_tokens


def own_token_values(parts: VisionParts, pixels: NDArray[np.uint8], expected: FloatArray) -> Values:
    """Compare spatial tokens of single frames with what the Image LLM makes of these frames through its own processor, float32 [T, N, H]."""
    with torch.inference_mode():
        features = parts.encoder(torch.from_numpy(pixels))
        motion = torch.zeros(parts.adapter.sizes.num_motion_tokens, parts.adapter.sizes.num_patches)
        streams = [(x, x.mean(0, keepdim=True), *((motion,) if len(motion) else ())) for x in features]
        tokens = torch.stack([parts.adapter(*stream)[: parts.adapter.sizes.num_patches] for stream in streams]).numpy()
    return {("tokens of single frames, own processor", "mean cosine over tokens"): mean_cosine(tokens, expected)}


def pooling_order_values(parts: VisionParts, pixels: NDArray[np.uint8]) -> Values:
    """Compare visual tokens with those of an Image LLM that aligns every patch of every frame and pools then: the same where it aligns linearly.

    Pooling first is what makes a video cheap (RED-VILLM, section 3.1); what it changes depends on the alignment. Nothing for adapters that were
    trained on pooled features.
    """
    adapter = parts.adapter
    if not isinstance(adapter, StreamAdapter) or isinstance(adapter.alignment, nn.Identity):
        return {}
    with torch.inference_mode():
        features = parts.encoder(torch.from_numpy(pixels))
        aligned = adapter.alignment(features)
        after = torch.cat((aligned.mean(0), aligned.mean(1))).numpy()
        before = adapter(features.mean(0), features.mean(1)).numpy()
    return {(ORDER_STAGE, ORDER_METRIC): mean_cosine(before, after)}


def _video_tokens(graph: Path, pixels: NDArray[np.uint8], run: Run) -> dict[str, FloatArray]:
    """Visual tokens of video.onnx by what computed its pooling node: the function in the file, and the custom op where it was built."""
    feeds = {Tensors.PIXELS: pixels}
    tokens = {FUNCTION_BODY: run(graph, feeds)[0]}
    if library := ort_library_path():
        calls = ort_library_calls()
        tokens[CUSTOM_KERNEL] = run(graph, feeds, library=library)[0]
        if ort_library_calls() == calls:
            raise ParityError(
                f"{graph.name} ran without a call of the kernel in {library}: its pooling node is not the one that the library registers"
            )
    return tokens
