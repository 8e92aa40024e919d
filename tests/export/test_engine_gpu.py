"""Engines on a GPU, against numpy and ONNX Runtime. *Not yet run on a device*: no machine so far had one."""

import numpy as np
import onnxruntime
import pytest
from device_run import run_engine
from onnx import TensorProto
from pooling_onnx import save_pooling_onnx
from tensorrt_needs import HAS_TENSORRT, IS_RTX, has_driver

from redvillm.engine_key import FrameProfile
from redvillm.export.engine import EngineOptions, build_engine
from redvillm.kernels.tensorrt_device import gpu_architecture
from redvillm.kernels.tensorrt_plugin import register_plugin

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not HAS_TENSORRT or not has_driver(), reason="needs TensorRT and an NVIDIA driver")]

ELEMENTS = {"float32": (np.float32, TensorProto.FLOAT), "float16": (np.float16, TensorProto.FLOAT16)}
# float32 sums of up to 16 * 576 values of size one in another order; float16 outputs are rounded once: half of 2^-10
TOLERANCES = {"float32": {"rtol": 2e-6, "atol": 2e-6}, "float16": {"rtol": 6e-4, "atol": 6e-4}}


def built(onnx, folder, precision, **changes):
    architectures = (gpu_architecture(),) if IS_RTX else ()
    return build_engine(onnx, EngineOptions(precision=precision, architectures=architectures, **changes), folder=folder).path


@pytest.mark.parametrize("precision", sorted(ELEMENTS))
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("num_patches", "width"), [(1, 1), (7, 13), (49, 1280), (576, 1024)])
def test_the_plugin_pools(tmp_path, precision, weighted, num_patches, width):
    dtype, element = ELEMENTS[precision]
    weights_of_graph = (TensorProto.FLOAT, ["num_frames"]) if weighted else None
    graph = save_pooling_onnx(tmp_path / "g.onnx", element=element, sizes=("num_frames", num_patches, width), weights=weights_of_graph)
    engine = built(graph, tmp_path, precision, frames=FrameProfile(1, 5, 16))
    journal = register_plugin()
    generator = np.random.default_rng(0)
    for num_frames in (1, 5, 16):
        features = generator.normal(1, 1, (num_frames, num_patches, width)).astype(dtype)
        weights = generator.uniform(0.5, 2, num_frames).astype(np.float32)
        outputs = run_engine(engine, {"features": features, **({"weights": weights} if weighted else {})})
        wide = features.astype(np.float64)
        expected = np.average(wide, axis=0, weights=weights if weighted else None)
        np.testing.assert_allclose(outputs["temporal"], expected, **TOLERANCES[precision])
        np.testing.assert_allclose(outputs["spatial"], wide.mean(1), **TOLERANCES[precision])
    assert journal.calls["enqueue"] >= 3


@pytest.mark.skipif(IS_RTX, reason="TensorRT for RTX has no ahead-of-time plugins")
@pytest.mark.parametrize("precision", sorted(ELEMENTS))
@pytest.mark.parametrize(("num_patches", "width"), [(7, 13), (49, 1280), (1537, 12)])
def test_the_ahead_of_time_kernel_pools(tmp_path, precision, num_patches, width):
    dtype, element = ELEMENTS[precision]
    graph = save_pooling_onnx(tmp_path / "g.onnx", element=element, sizes=("num_frames", num_patches, width))
    engine = built(graph, tmp_path, precision, pooling="aot")
    features = np.random.default_rng(0).normal(1, 1, (11, num_patches, width)).astype(dtype)
    outputs = run_engine(engine, {"features": features})
    np.testing.assert_allclose(outputs["temporal"], features.astype(np.float64).mean(0), **TOLERANCES[precision])
    np.testing.assert_allclose(outputs["spatial"], features.astype(np.float64).mean(1), **TOLERANCES[precision])


@pytest.mark.parametrize("precision", sorted(ELEMENTS))
@pytest.mark.parametrize("pooling", ["plugin", "function"])
def test_a_vit_gives_what_onnxruntime_gives(vit_graphs, tmp_path, precision, pooling):
    engine = built(vit_graphs[precision], tmp_path, precision, pooling=pooling)
    if pooling == "plugin":
        register_plugin()
    pixels = np.random.default_rng(0).integers(0, 256, (5, 56, 56, 3), np.uint8)
    expected = onnxruntime.InferenceSession(vit_graphs[precision], providers=["CPUExecutionProvider"]).run(None, {"pixels": pixels})
    outputs = run_engine(engine, {"pixels": pixels})
    for name, values in zip(("temporal_pooling", "spatial_pooling"), expected, strict=True):
        found, wanted = outputs[name].astype(np.float64), values.astype(np.float64)
        cosine = (found * wanted).sum(-1) / np.linalg.norm(found, axis=-1) / np.linalg.norm(wanted, axis=-1)
        assert cosine.min() > 0.999  # TensorFloat-32 products have ten bits of fraction
