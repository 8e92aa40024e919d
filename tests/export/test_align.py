"""align.onnx, vision.onnx and video.onnx as ONNX Runtime runs them, against torch."""

import hashlib

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from tiny_encoder import TinyEncoder

from redvillm.export.adapter import Adapter, AdapterOptions
from redvillm.export.align import Video, export_align, export_video
from redvillm.export.pooling import pool_streams
from redvillm.export.vision import export_vision
from redvillm.manifest import FitSpec, Tensors

SIZES = AdapterOptions(num_patches=4, vision_width=6, llm_width=8, num_motion_tokens=3, hidden_width=7, motion_hidden_width=5)


@pytest.fixture(scope="module")
def modules():
    torch.manual_seed(1)
    return TinyEncoder().eval(), Adapter(SIZES).eval()


@pytest.fixture(scope="module")
def folder(modules, tmp_path_factory):
    encoder, adapter = modules
    folder = tmp_path_factory.mktemp("graphs")
    specs = {
        "vision": export_vision(encoder, FitSpec.square(8), folder / "vision.onnx"),
        "align": export_align(adapter, folder / "align.onnx"),
        "video": export_video(encoder, adapter, FitSpec.square(8), folder / "video.onnx"),
    }
    assert [tensor.name for tensor in specs["align"].inputs] == [Tensors.TEMPORAL_POOLING, Tensors.SPATIAL_POOLING, Tensors.MOTION_ENERGY]
    assert specs["vision"].inputs[0].dtype == "uint8"
    assert specs["vision"].outputs[0].shape[1:] == (4, 6)
    assert specs["video"].outputs[0].name == Tensors.VISUAL_TOKENS
    return folder


@pytest.mark.parametrize("num_frames", [1, 2, 3, 5, 11])
def test_graphs_equal_torch_for_every_number_of_frames(modules, folder, num_frames):
    encoder, adapter = modules
    pixels = np.random.default_rng(num_frames).integers(0, 256, (num_frames, 8, 8, 3), dtype=np.uint8)
    with torch.inference_mode():
        features = encoder(torch.from_numpy(pixels))
        expected = adapter(*pool_streams(features, 3)).numpy()
        torch.testing.assert_close(Video(encoder, adapter)(torch.from_numpy(pixels)).numpy(), expected)
    run = {
        name: onnxruntime.InferenceSession(folder / f"{name}.onnx", providers=["CPUExecutionProvider"]).run for name in ("vision", "align", "video")
    }
    (own_features,) = run["vision"](None, {Tensors.PIXELS: pixels})
    names = (Tensors.TEMPORAL_POOLING, Tensors.SPATIAL_POOLING, Tensors.MOTION_ENERGY)
    streams = [stream.numpy() for stream in pool_streams(torch.from_numpy(own_features), 3)]
    # float32 in another order of sums; the square root of a motion energy near zero widens it
    np.testing.assert_allclose(own_features, features.numpy(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(run["align"](None, dict(zip(names, streams, strict=True)))[0], expected, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(run["video"](None, {Tensors.PIXELS: pixels})[0], expected, rtol=1e-3, atol=1e-4)


def test_video_holds_one_pooling_node_with_its_function_and_plugin_attributes(folder):
    model = onnx.load(folder / "video.onnx")
    (node,) = [node for node in model.graph.node if node.domain == "redvillm"]
    assert node.op_type == "SpatioTemporalPool"
    assert {attribute.name: attribute.s for attribute in node.attribute} == {"plugin_namespace": b"redvillm", "plugin_version": b"1"}
    assert [(function.domain, function.name) for function in model.functions] == [("redvillm", "SpatioTemporalPool")]


def test_video_without_the_function_is_the_same_graph(modules, folder, tmp_path):
    export_video(*modules, FitSpec.square(8), tmp_path / "video.onnx", with_function=False)
    bare, whole = onnx.load(tmp_path / "video.onnx"), onnx.load(folder / "video.onnx")
    assert not bare.functions
    del whole.functions[:]
    assert bare == whole


def test_the_same_modules_give_the_same_bytes(modules, folder, tmp_path):
    export_video(*modules, FitSpec.square(8), tmp_path / "video.onnx")
    assert hashlib.sha256((tmp_path / "video.onnx").read_bytes()).digest() == hashlib.sha256((folder / "video.onnx").read_bytes()).digest()


def test_no_path_of_this_machine_is_in_a_graph(folder):
    for path in folder.iterdir():
        data = path.read_bytes()
        assert b"site-packages" not in data
        assert b"/export/" not in data
