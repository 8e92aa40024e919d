"""Quantized graphs as ONNX Runtime runs them, against the given ones; and what other runtimes need of their form."""

import importlib.util
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from tensorrt_needs import needs_rtx
from torch import Tensor, nn
from torch.nn import functional

from redvillm.errors import ExportError, OptionsError
from redvillm.export.attention import attend
from redvillm.export.calibration import calibration_frames, parity_frames
from redvillm.export.engine import EngineOptions, build_engine
from redvillm.export.qdq import ONNXRUNTIME_FORM, OPENVINO_FORM, TENSORRT_FORM, quantize_graph
from redvillm.export.targets import VisionChoice, choose_vision
from redvillm.export.torch_graph import GraphPlan, export_graph
from redvillm.export.vision import export_vision
from redvillm.manifest import FitSpec

FORMS = {"onnxruntime": ONNXRUNTIME_FORM, "openvino": OPENVINO_FORM, "tensorrt": TENSORRT_FORM}
SIZE = 24
FIT = FitSpec.square(SIZE)


class TinyConvolutions(nn.Module):
    """Stride with uneven padding, depthwise, a residual addition, ReLU6: what EfficientNet-Lite has."""

    def __init__(self):
        super().__init__()
        self.stem, self.expand = nn.Conv2d(3, 8, 3, 2), nn.Conv2d(8, 16, 1)
        self.depthwise, self.project = nn.Conv2d(16, 16, 5, 1, 2, groups=16), nn.Conv2d(16, 8, 1)
        self.head = nn.Conv2d(8, 10, 1)

    def forward(self, pixels: Tensor) -> Tensor:
        x = (pixels.to(torch.float32).permute(0, 3, 1, 2) - 127.0) * (1 / 128.0)
        x = functional.relu6(self.stem(functional.pad(x, (0, 1, 0, 1))))
        x = x + self.project(functional.relu6(self.depthwise(functional.relu6(self.expand(x)))))
        return functional.relu6(self.head(x)).flatten(2).transpose(1, 2)


class TinyTransformer(nn.Module):
    def __init__(self, operator):
        super().__init__()
        self.patch, self.norm, self.operator = nn.Conv2d(3, 16, 8, 8), nn.LayerNorm(16), operator
        self.query, self.key, self.value, self.out = (nn.Linear(16, 16) for _ in range(4))
        self.up, self.down = nn.Linear(16, 64, bias=False), nn.Linear(64, 16)

    def forward(self, pixels: Tensor) -> Tensor:
        x = (pixels.to(torch.float32).permute(0, 3, 1, 2) - 127.0) * (1 / 128.0)
        x = self.patch(x).flatten(2).transpose(1, 2)
        y = self.norm(x)
        x = x + self.out(attend(self.query(y), self.key(y), self.value(y), 2, operator=self.operator))
        return x + self.down(functional.gelu(self.up(self.norm(x))))


ENCODERS = {"convolutions": TinyConvolutions, "fused": lambda: TinyTransformer("fused"), "plain": lambda: TinyTransformer("plain")}


@pytest.fixture(scope="module", params=list(ENCODERS))
def graph(request, tmp_path_factory):
    torch.manual_seed(4)
    path = tmp_path_factory.mktemp("graph") / "vision.onnx"
    export_vision(ENCODERS[request.param]().eval(), FIT, path)
    return onnx.load(path)


def run(model, pixels, **entries):
    options = onnxruntime.SessionOptions()
    for key, value in entries.items():
        setattr(options, key, value)
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"]).run(None, {"pixels": pixels})[0]


@pytest.mark.parametrize("form", list(FORMS))
def test_features_stay_near_on_frames_not_calibrated_with(graph, form):
    quantized = quantize_graph(graph, calibration_frames(FIT), FORMS[form])
    onnx.checker.check_model(quantized)
    for num_frames in (1, 3, 8):
        pixels = parity_frames(FIT)[:num_frames]
        exact, got = run(graph, pixels), run(quantized, pixels)
        assert got.shape == exact.shape
        # 8 bits: about half a percent of the range at each of a handful of layers
        assert np.linalg.norm(got - exact) <= 0.05 * np.linalg.norm(exact)
        assert np.abs(got - exact).max() > 0


def test_the_same_bytes_every_time(graph):
    first, second = (quantize_graph(graph, calibration_frames(FIT), ONNXRUNTIME_FORM).SerializeToString(deterministic=True) for _ in range(2))
    assert first == second


def test_the_given_graph_is_not_changed(graph):
    before = graph.SerializeToString(deterministic=True)
    quantize_graph(graph, calibration_frames(FIT)[:2], ONNXRUNTIME_FORM)
    assert graph.SerializeToString(deterministic=True) == before


def test_onnx_runtime_computes_every_layer_in_8_bits(graph, tmp_path):
    quantized = quantize_graph(graph, calibration_frames(FIT)[:4], ONNXRUNTIME_FORM)
    run(quantized, parity_frames(FIT)[:1], optimized_model_filepath=str(tmp_path / "optimized.onnx"), log_severity_level=3)
    operators = [node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node]
    given = [node.op_type for node in graph.graph.node]
    if "Clip" in given:
        assert not {"Conv", "FusedConv", "QuantizeLinear", "Sub"} & set(operators)  # pixels are taken as the codes that they are
        assert operators.count("QLinearConv") == given.count("Conv")
        assert operators.count("QLinearAdd") == 1
    else:
        assert operators.count("MatMulIntegerToFloat") == 6
        assert operators.count("Conv") + operators.count("FusedConv") == 1  # the patch embedding starts the residual stream: not rounded


@pytest.mark.parametrize("cast_first", [True, False])
@pytest.mark.parametrize(("offset", "folded"), [(127.0, True), (0.0, False), (100.5, False)])
def test_pixels_that_are_codes_already_are_not_rounded_again(tmp_path, offset, folded, cast_first):
    """An offset that is no byte cannot be a zero point; no offset at all leaves nothing to fold."""

    class Stem(nn.Module):
        def forward(self, pixels: Tensor) -> Tensor:
            x = pixels.float().permute(0, 3, 1, 2) if cast_first else pixels.permute(0, 3, 1, 2).float()
            return functional.conv2d((x - offset if offset else x) * (1 / 128.0), torch.full((4, 3, 1, 1), 1.0)).flatten(2)

    export_vision(Stem(), FIT, tmp_path / "stem.onnx")
    given = onnx.load(tmp_path / "stem.onnx")
    quantized = quantize_graph(given, calibration_frames(FIT), ONNXRUNTIME_FORM)
    assert any(node.op_type == "Cast" for node in quantized.graph.node) != folded
    pixels = calibration_frames(FIT)[:3]
    exact = run(given, pixels)
    # three sums of codes of pixels, and one rounding of the result
    np.testing.assert_allclose(run(quantized, pixels), exact, atol=np.abs(exact).max() / 60)


def test_tensorrt_gets_signed_symmetric_pairs_only(graph):
    quantized = quantize_graph(graph, calibration_frames(FIT)[:2], TENSORRT_FORM)
    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in quantized.graph.initializer}
    zero_points = [constants[node.input[2]] for node in quantized.graph.node if node.op_type in {"QuantizeLinear", "DequantizeLinear"}]
    assert zero_points
    assert all(zero.dtype == np.int8 and not zero.any() for zero in zero_points)
    for node in quantized.graph.node:
        if node.op_type == "Conv":
            assert constants[node.input[2]].dtype == np.float32  # the bias


@needs_rtx
@pytest.mark.parametrize("name", ["convolutions", "plain"])
def test_tensorrts_parser_and_builder_take_its_form(tmp_path, name):
    torch.manual_seed(4)
    export_vision(ENCODERS[name]().eval(), FIT, tmp_path / "given.onnx")
    onnx.save(quantize_graph(onnx.load(tmp_path / "given.onnx"), calibration_frames(FIT)[:4], TENSORRT_FORM), tmp_path / "vision.onnx")
    options = EngineOptions(precision="int8", architectures=("SM89",), flavour="tensorrt_rtx", pooling="function")
    report = build_engine(tmp_path / "vision.onnx", options, folder=tmp_path)
    assert report.graph.inputs[0].dtype == "uint8"
    assert report.graph.outputs[0].dtype == "float32"


@pytest.mark.parametrize("num_frames", [1, 2, 7])
def test_openvino_computes_the_same(graph, num_frames):
    if importlib.util.find_spec("openvino") is None:
        pytest.skip("openvino is not installed")
    import openvino

    pixels = parity_frames(FIT)[:num_frames]
    for form in (ONNXRUNTIME_FORM, OPENVINO_FORM):
        quantized = quantize_graph(graph, calibration_frames(FIT)[:4], form)
        core = openvino.Core()
        compiled = core.compile_model(core.read_model(quantized.SerializeToString()), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        expected = run(quantized, pixels)
        # an 8-bit code may round the other way here and there
        assert np.linalg.norm(compiled([pixels])[0] - expected) <= 0.02 * np.linalg.norm(expected)


def test_a_graph_without_layers_or_with_more_inputs_is_refused(tmp_path):
    class Nothing(nn.Module):
        def forward(self, pixels: Tensor) -> Tensor:
            return pixels.to(torch.float32).flatten(1, 2)

    class Two(nn.Module):
        def forward(self, first: Tensor, second: Tensor) -> Tensor:
            return first + second

    with pytest.raises(ExportError, match="nothing to quantize"):
        export_vision(Nothing(), FIT, tmp_path / "nothing.onnx", VisionChoice("cpu", "int8"))
    export_graph(GraphPlan(Two(), {"first": torch.ones(2), "second": torch.ones(2)}, ["sum"], {}), tmp_path / "two.onnx")
    with pytest.raises(ExportError, match="has 2"):
        quantize_graph(onnx.load(tmp_path / "two.onnx"), calibration_frames(FIT), ONNXRUNTIME_FORM)


def test_an_unknown_precision_is_refused():
    with pytest.raises(OptionsError, match="int8, fp32"):
        choose_vision("cpu", "int4")
    with pytest.raises(OptionsError, match="--vision int8"):
        choose_vision("cpu", "fp32", (Path("clip.mp4"),))
    assert choose_vision("cpu", None, (Path("clip.mp4"),)).precision == "int8"
