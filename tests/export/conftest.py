"""Graphs with the pooling node, and a bundle for tensorrt, exported once: a small ViT, the default architecture, a tiny LLaVA; random weights."""

from pathlib import Path

import onnx
import pytest
import tiny_checkpoints
import torch
from small_vit import IMAGE_SIZE, PooledViT

from redvillm.export.adapter import Adapter, AdapterOptions
from redvillm.export.align import export_video
from redvillm.export.bundle import export_checkpoint
from redvillm.export.checkpoint_plan import CheckpointOptions
from redvillm.export.efficientnet import IMAGE_SIZE as VIDEO_SIZE
from redvillm.export.efficientnet import EfficientNetLite0
from redvillm.export.pooling import pooling_function
from redvillm.export.precision import in_float16
from redvillm.export.torch_graph import GraphPlan, export_graph
from redvillm.manifest import FitSpec

PRECISIONS = ("float32", "float16")


@pytest.fixture(scope="session")
def vit_graphs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """By precision: pixels uint8 [T, 56, 56, 3] -> temporal pooling [16, 384], spatial pooling [T, 384]."""
    folder = tmp_path_factory.mktemp("vit")
    pixels = torch.zeros(3, IMAGE_SIZE, IMAGE_SIZE, 3, dtype=torch.uint8)
    for precision, module in in_precisions(PooledViT()).items():
        plan = GraphPlan(module, {"pixels": pixels}, ["temporal_pooling", "spatial_pooling"], {"pixels": {0: "num_frames"}})
        export_graph(plan, folder / f"vit-{precision}.onnx", functions=[pooling_function()])
    return {precision: folder / f"vit-{precision}.onnx" for precision in PRECISIONS}


@pytest.fixture(scope="session")
def video_graphs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """By precision: video.onnx of the default architecture, which needs no fetched weights."""
    folder = tmp_path_factory.mktemp("video")
    torch.manual_seed(0)
    encoder = EfficientNetLite0()
    for parameter in encoder.parameters():
        if parameter.dim() > 1:  # torch's own start lets features fade to nothing over 50 layers
            torch.nn.init.kaiming_normal_(parameter, nonlinearity="relu")
    encoders, adapters = in_precisions(encoder), in_precisions(Adapter(AdapterOptions()))
    for precision in PRECISIONS:
        export_video(encoders[precision], adapters[precision], FitSpec.square(VIDEO_SIZE), folder / f"video-{precision}.onnx")
    return {precision: folder / f"video-{precision}.onnx" for precision in PRECISIONS}


@pytest.fixture(scope="session")
def vit_without_function(vit_graphs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The form for the plugin of TensorRT before 10.7."""
    model = onnx.load(vit_graphs["float32"])
    del model.functions[:]
    path = tmp_path_factory.mktemp("vit") / "without-function.onnx"
    onnx.save(model, path)
    return path


@pytest.fixture(scope="session")
def tensorrt_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle for target tensorrt in its default precision, of a tiny checkpoint, with the parity gate."""
    folder = tmp_path_factory.mktemp("tensorrt")
    checkpoint = tiny_checkpoints.write(folder / "checkpoint", "llava, CLIP, Llama")
    options = CheckpointOptions(decoder="int8", max_frames=6, max_context_tokens=256)
    export_checkpoint(str(checkpoint), folder / "bundle", options, target="tensorrt")
    return folder / "bundle"


def in_precisions(module: torch.nn.Module) -> dict[str, torch.nn.Module]:
    module = module.eval().requires_grad_(False)
    return {"float32": module, "float16": in_float16(module)}
