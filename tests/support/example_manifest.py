"""A manifest that could be a bundle's. Needs nothing but redvillm's base."""

import dataclasses
from typing import Any

from redvillm.manifest import (
    PLAIN_ROTARY,
    SCHEMA_VERSION,
    Dimensions,
    FileSpec,
    FitSpec,
    Graphs,
    GraphSpec,
    Manifest,
    ParityResult,
    PromptSpec,
    Tensors,
    TensorSpec,
    WeightOrigin,
)


def example(**changes: Any) -> Manifest:
    """Return a legal manifest with some fields changed."""
    pixels = TensorSpec(name=Tensors.PIXELS, dtype="uint8", shape=("T", 224, 224, 3))
    features = TensorSpec(name=Tensors.FEATURES, dtype="float32", shape=("T", 49, 1280))
    graph = GraphSpec(inputs=(pixels,), outputs=(features,))
    dimensions = Dimensions(
        num_frames=16,
        num_patches=49,
        vision_width=1280,
        llm_width=576,
        num_motion_tokens=4,
        vocabulary_size=49152,
        num_layers=30,
        num_kv_heads=3,
        head_width=64,
        max_context_tokens=1024,
    )
    manifest = Manifest(
        schema_version=SCHEMA_VERSION,
        name="redvillm-nano",
        family="nano",
        target="cpu",
        precision={Graphs.DECODER: "int4"},
        dimensions=dimensions,
        frames=FitSpec.square(224),
        streams=("spatial", "temporal", "motion"),
        graphs={Graphs.VISION: graph, Graphs.ALIGN: graph, Graphs.DECODER: graph},
        files={"vision.onnx": FileSpec(sha256="0" * 64, size_bytes=1)},
        prompt=PromptSpec(before="<|user|>", between="\n", after="<|end|>", stop_token_ids=(2,)),
        rotary=PLAIN_ROTARY,
        weights=(WeightOrigin(name="a", origin="b", licence="c", sha256="d"),),
        parity=(ParityResult(stage="vision", metric="max_abs", value=1e-6, limit=1e-4, passed=True),),
        tools={"onnx": "1"},
    )
    return dataclasses.replace(manifest, **changes)
