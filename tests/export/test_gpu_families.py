"""Every vision encoder for target tensorrt: its graphs through the real parser and ahead-of-time builder, and their values node by node."""

import composed_models
import numpy as np
import onnx
import pytest
import tiny_checkpoints
import torch
from tensorrt_needs import needs_rtx

from redvillm.engine_key import FrameProfile
from redvillm.export.align import export_align, export_pooled_tokens, join_video
from redvillm.export.calibration import calibration_frames, parity_frames
from redvillm.export.engine import EngineOptions, build_engine
from redvillm.export.families.registry import family_of
from redvillm.export.image_llm import AdapterSizes, StreamAdapter, TakeOptions
from redvillm.export.node_runner import run_half_graph
from redvillm.export.parity_measures import smallest_cosine
from redvillm.export.qdq import TENSORRT_FORM, quantize_graph
from redvillm.export.targets import VisionChoice
from redvillm.export.torch_graph import write_graph
from redvillm.export.vision import export_vision
from redvillm.export.vision_encoders import load_vision_encoder
from redvillm.files import sha256_of
from redvillm.manifest import FitSpec

# one of each vision encoder: the other variants of the families differ in their LLM, or in which layers are read
FAMILIES = ("llava, CLIP, Llama", "idefics3", "internvl", "qwen2_vl", "qwen2_5_vl")
COMPOSED = ("convnext",)
SIZES = {"qwen2_vl": TakeOptions(frame_height=48, frame_width=80), "qwen2_5_vl": TakeOptions(frame_height=64, frame_width=64)}
ARCHITECTURES = ("SM86", "SM89", "SM120")
# tiny encoders of random weights: ten bits of fraction, and 8-bit codes; a wrong graph has less than .9
SMALLEST = {"float16": 0.9999, "int8": 0.95}
PROFILE = FrameProfile(1, 2, 6)


class Graphs:
    """One encoder with its references, and the folders of its graphs by precision."""

    def __init__(self, name, folder):
        self.encoder, self.adapter, self.fit = parts_of(name, folder)
        self.pixels = parity_frames(self.fit)[:3]
        with torch.inference_mode():
            features = self.encoder(torch.from_numpy(self.pixels))
            self.features, self.tokens = features.numpy(), self.adapter(features.mean(0), features.mean(1)).numpy()
        self.folders = {"float16": folder / "float16", "int8": folder / "int8"}
        for place in self.folders.values():
            place.mkdir()
        export_vision(self.encoder, self.fit, self.folders["float16"] / "vision.onnx", VisionChoice("tensorrt", "fp16"))
        exact = onnx.load(self.folders["float16"] / "vision.onnx")  # as export_vision does, without tracing the encoder once more
        write_graph(quantize_graph(exact, calibration_frames(self.fit)[:6], TENSORRT_FORM), self.folders["int8"] / "vision.onnx")
        export_pooled_tokens(self.adapter, folder / "tokens.onnx", half=True)
        for place in self.folders.values():
            join_video(place / "vision.onnx", folder / "tokens.onnx", place / "video.onnx")


def parts_of(name, folder):
    if name in COMPOSED:
        loaded = load_vision_encoder(composed_models.write_vision(folder / "checkpoint", name))
        torch.manual_seed(3)
        sizes = AdapterSizes(num_patches=loaded.num_patches, vision_width=loaded.width, llm_width=16)
        alignment = torch.nn.Linear(loaded.width, 16).requires_grad_(False)
        return loaded.module, StreamAdapter(alignment, sizes).eval(), FitSpec.square(loaded.image_size)
    model, processing = tiny_checkpoints.processing(name)
    parts = family_of(model.config.model_type).take_apart(model, processing, SIZES.get(name, TakeOptions()))
    return parts.encoder, parts.adapter, parts.fit


@pytest.fixture(scope="session", params=[*FAMILIES, *COMPOSED])
def graphs(request, tmp_path_factory):
    return Graphs(request.param, tmp_path_factory.mktemp("graphs"))


@pytest.mark.parametrize("precision", ["float16", "int8"])
def test_values_are_those_of_the_modules(graphs, precision):
    folder = graphs.folders[precision]
    (features,) = run_half_graph(folder / "vision.onnx", {"pixels": graphs.pixels})
    (tokens,) = run_half_graph(folder / "video.onnx", {"pixels": graphs.pixels})
    assert features.dtype == tokens.dtype == np.float32
    assert smallest_cosine(features, graphs.features) > SMALLEST[precision]
    assert smallest_cosine(tokens, graphs.tokens) > SMALLEST[precision]
    assert (features != graphs.features).any()


@needs_rtx
@pytest.mark.parametrize("precision", ["float16", "int8"])
def test_tensorrt_builds_a_whole_clip_in_one_engine(graphs, precision, tmp_path):
    """vision.onnx is the first part of video.onnx, so what builds one builds the other."""
    options = EngineOptions(precision=precision, architectures=ARCHITECTURES, frames=PROFILE, flavour="tensorrt_rtx")
    report = build_engine(graphs.folders[precision] / "video.onnx", options, folder=tmp_path)
    assert [layer.type for layer in report.pooling_layers] == ["PLUGIN_V3"]
    assert report.graph.inputs[0].shape == ("num_frames", graphs.fit.height, graphs.fit.width, 3)
    assert (report.graph.inputs[0].dtype, report.graph.outputs[0].dtype) == ("uint8", "float32")
    assert report.key.architectures == ARCHITECTURES
    assert any(layer.type == "QUANTIZE" for layer in report.layers) == (precision == "int8")
    assert not [warning for warning in report.warnings if "overflow" in warning]


def test_no_graph_has_operators_of_onnx_runtime_only(graphs):
    for folder in graphs.folders.values():
        model = onnx.load(folder / "video.onnx")
        assert {node.domain for node in model.graph.node} == {"", "redvillm"}
        assert [function.name for function in model.functions] == ["SpatioTemporalPool"]


@needs_rtx
@pytest.mark.parametrize("name", ["internvl", "idefics3"])
def test_tensorrt_builds_the_streaming_path(name, tmp_path):
    _, adapter, _ = parts_of(name, tmp_path)
    has_weights = any(True for _ in adapter.parameters())
    export_align(adapter, tmp_path / "align.onnx", half=has_weights)
    precision = "float16" if has_weights else "float32"
    options = EngineOptions(precision=precision, architectures=ARCHITECTURES, frames=PROFILE, flavour="tensorrt_rtx", pooling="function")
    report = build_engine(tmp_path / "align.onnx", options, folder=tmp_path)
    assert {tensor.dtype for tensor in (*report.graph.inputs, *report.graph.outputs)} == {"float32"}


def test_windows_of_one_size_are_one_operator(tmp_path):
    """At 64 x 64 the tiny encoder has four windows of one size: the attention of each is the same as one by one."""
    model, processing = tiny_checkpoints.processing("qwen2_5_vl")
    parts = family_of("qwen2_5_vl").take_apart(model, processing, TakeOptions(frame_height=64, frame_width=64))
    assert len(set(parts.encoder.window_sizes)) == 1 < len(parts.encoder.window_sizes)
    frames = list(parity_frames(parts.fit)[:2])
    with torch.inference_mode():
        features = parts.encoder(torch.from_numpy(np.stack(frames)))
        found = torch.stack([parts.adapter(x, x.mean(0, keepdim=True))[: parts.adapter.sizes.num_patches] for x in features])
        expected = parts.own_tokens(frames)
    assert (found - expected).abs().max() <= 2e-5 * expected.abs().max()
    export_vision(parts.encoder, parts.fit, tmp_path / "vision.onnx", VisionChoice("cuda", "fp32"))
    operators = [node.op_type for node in onnx.load(tmp_path / "vision.onnx").graph.node]
    assert operators.count("MultiHeadAttention") == len(parts.encoder.blocks)


def test_a_graph_with_data_beside_it_names_their_bytes(graphs, tmp_path, monkeypatch):
    """The key of an engine holds the sha256 of the graph alone."""
    monkeypatch.setattr("redvillm.export.torch_graph._MAX_FILE_BYTES", 1000)
    model = onnx.load(graphs.folders["float16"] / "video.onnx")
    digests = set()
    for change in (0, 1):
        large = max(
            (tensor for tensor in model.graph.initializer if tensor.data_type == onnx.TensorProto.FLOAT16), key=lambda tensor: len(tensor.raw_data)
        )
        large.raw_data = bytes([change]) + large.raw_data[1:]
        copy = onnx.ModelProto()
        copy.CopyFrom(model)
        write_graph(copy, tmp_path / "video.onnx")
        assert (tmp_path / "video.onnx.data").is_file()
        onnx.checker.check_model(tmp_path / "video.onnx")
        digests.add(sha256_of(tmp_path / "video.onnx"))
    assert len(digests) == 2
