"""Engines built by the real parser and ahead-of-time builder of TensorRT for RTX, on the CPU. Nothing here runs an engine: that needs a GPU."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper
from pooling_onnx import save_pooling_onnx
from tensorrt_needs import needs_rtx

from redvillm import export
from redvillm.engine_key import FrameProfile, read_key, require_key
from redvillm.errors import BundleTargetError, ExportError, OptionsError
from redvillm.export.engine import EngineOptions, LayerInfo, build_engine
from redvillm.files import sha256_of

ARCHITECTURES = ("SM86", "SM89", "SM120")
# what the builder asks of a plugin; it runs nothing, so nothing is enqueued
ASKED = {"create_plugin", "clone", "get_output_data_types", "get_output_shapes", "supports_format_combination", "configure_plugin"}
ASKED |= {"get_fields_to_serialize"}

pytestmark = needs_rtx


def options(**changes):
    return EngineOptions(**{"precision": "float32", "architectures": ("SM89",), "flavour": "tensorrt_rtx", **changes})


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_a_vit_with_the_plugin(vit_graphs, tmp_path, architecture, precision):
    report = build_engine(vit_graphs[precision], options(precision=precision, architectures=(architecture,)), folder=tmp_path)
    assert [layer.type for layer in report.pooling_layers] == ["PLUGIN_V3"]
    assert [layer.type for layer in report.layers].count("PLUGIN_V3") == 1
    assert set(report.plugin_calls) == ASKED
    assert report.graph.inputs[0].shape == ("num_frames", 56, 56, 3)
    assert report.graph.inputs[0].dtype == "uint8"
    assert [output.shape for output in report.graph.outputs] == [(16, 384), ("?", 384)]
    assert [output.dtype for output in report.graph.outputs] == [precision] * 2
    assert report.size_bytes == report.path.stat().st_size > 1_000_000


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_a_vit_with_the_function(vit_graphs, tmp_path, precision):
    report = build_engine(vit_graphs[precision], options(precision=precision, pooling="function", architectures=ARCHITECTURES), folder=tmp_path)
    assert [layer.type for layer in report.pooling_layers].count("REDUCE") == 2
    assert "PLUGIN_V3" not in {layer.type for layer in report.layers}
    assert report.plugin_calls == {}


@pytest.mark.bundle
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_default_model_with_the_plugin(real_bundle, tmp_path, architecture):
    report = build_engine(real_bundle / "video.onnx", options(architectures=(architecture,)), folder=tmp_path)
    assert [layer.type for layer in report.pooling_layers] == ["PLUGIN_V3"]
    assert set(report.plugin_calls) == ASKED
    assert (report.graph.inputs[0].name, report.graph.outputs[0].name) == ("pixels", "visual_tokens")


@pytest.mark.bundle
@pytest.mark.parametrize("name", ["video.onnx", "align.onnx"])  # vision.onnx of target cpu is in a form for ONNX Runtime
def test_the_other_graphs_of_the_default_model_without_plugin(real_bundle, tmp_path, name):
    report = build_engine(real_bundle / name, options(pooling="function"), folder=tmp_path)
    assert [layer.type for layer in report.pooling_layers].count("REDUCE") == (2 if name == "video.onnx" else 0)
    assert report.plugin_calls == {}


@pytest.mark.parametrize("pooling", ["plugin", "function"])
def test_the_default_architecture_in_float16(video_graphs, tmp_path, pooling):
    report = build_engine(video_graphs["float16"], options(precision="float16", pooling=pooling, architectures=ARCHITECTURES), folder=tmp_path)
    assert {layer.type for layer in report.pooling_layers} >= {"PLUGIN_V3" if pooling == "plugin" else "REDUCE"}
    assert report.graph.outputs[0].dtype == "float32"


def test_the_architecture_reaches_the_builder(tmp_path):
    """TensorRT reads an engine's architectures only where there is a GPU, but the same graph for the same ones gives the same bytes."""
    graph = save_pooling_onnx(tmp_path / "g.onnx")
    choices = [("SM86",), ("SM89",), ("SM120",), ("SM86", "SM89"), ARCHITECTURES]
    paths = [build_engine(graph, options(architectures=choice), folder=tmp_path).path for choice in choices]
    assert len({sha256_of(path) for path in paths}) == len(choices)
    again = build_engine(graph, options(architectures=("SM86",)), folder=tmp_path / "again").path
    assert sha256_of(again) == sha256_of(paths[0])


def test_another_profile_and_detail_and_limits(vit_graphs, tmp_path):
    given = options(frames=FrameProfile(2, 5, 7), workspace_mib=64, optimization_level=1, detailed=True, architectures=ARCHITECTURES)
    report = build_engine(vit_graphs["float32"], given, folder=tmp_path)
    assert report.key.frames == FrameProfile(2, 5, 7)
    assert report.key.architectures == ARCHITECTURES


def test_the_key_tells_engines_apart(vit_graphs, tmp_path):
    report = build_engine(vit_graphs["float32"], options(), folder=tmp_path)
    key = report.key
    assert read_key(report.path) == key
    assert key.onnx_sha256 == sha256_of(vit_graphs["float32"])
    assert report.path == tmp_path / key.file_name("vit-float32")
    require_key(report.path, key)
    with pytest.raises(BundleTargetError, match="SM87"):
        require_key(report.path, dataclasses.replace(key, architectures=("SM87",)))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([report.path.name, report.path.name + ".json"])


def test_progress_ends_with_every_phase_complete(vit_graphs, tmp_path):
    steps = []
    build_engine(vit_graphs["float32"], options(), folder=tmp_path, progress=steps.append)
    last = {step.phase: step for step in steps}
    assert last
    assert all(step.step == step.num_steps for step in last.values())
    assert "" in {step.parent for step in steps}


def test_an_exception_of_the_caller_ends_the_build(vit_graphs, tmp_path):
    def stop(step):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_engine(vit_graphs["float32"], options(), folder=tmp_path, progress=stop)
    assert not list(tmp_path.glob("*.engine"))


def test_a_graph_without_its_function_needs_the_plugin(vit_without_function, tmp_path):
    report = build_engine(vit_without_function, options(), folder=tmp_path)
    assert [layer.type for layer in report.pooling_layers] == ["PLUGIN_V3"]
    with pytest.raises(ExportError, match=r"node \d+ .*SpatioTemporalPool.*has no function"):
        build_engine(vit_without_function, options(pooling="function"), folder=tmp_path)


@pytest.mark.parametrize("element", ["FLOAT", "FLOAT16"])
def test_the_plugin_takes_weights(tmp_path, element):
    graph = save_pooling_onnx(tmp_path / "g.onnx", element=TensorProto.DataType.Value(element), weights=(TensorProto.FLOAT, ["num_frames"]))
    report = build_engine(graph, options(precision="float32" if element == "FLOAT" else "float16"), folder=tmp_path)
    assert report.pooling_layers == (LayerInfo("the_pool", "PLUGIN_V3"),)
    assert [output.shape for output in report.graph.outputs] == [(7, 13), ("?", 13)]


@pytest.mark.parametrize(
    ("graph", "words"),
    [
        ({"element": TensorProto.INT32}, r"node 0 'the_pool'.*INT32.*float32 or float16"),
        ({"element": TensorProto.BFLOAT16}, "BF16"),
        ({"sizes": (7, 13)}, r"shape \[7, 13\], \[T, N, D\] is wanted"),
        ({"sizes": ("num_frames", 7, 13, 2)}, r"shape \[\?, 7, 13, 2\]"),
        ({"sizes": (5, 7, 13), "weights": (TensorProto.FLOAT, [4])}, r"weights have shape \[4\], \[5\] is wanted"),
        ({"sizes": (5, 7, 13), "weights": (TensorProto.FLOAT, [5, 1])}, r"weights have shape \[5, 1\]"),
        ({"element": TensorProto.FLOAT16, "sizes": (5, 7, 13), "weights": (TensorProto.FLOAT16, [5])}, "weights have TensorRT's type HALF"),
        ({"name": "Unheard"}, r"\(Unheard\): TensorRT has no such operator"),
        ({"sizes": (5, "num_frames", 13)}, "axis 1"),
        ({"sizes": ("batch", 7, 13)}, "'batch' on axis 0"),
    ],
)
def test_a_wrong_graph_is_refused_in_words(tmp_path, graph, words):
    with pytest.raises(ExportError, match=words):
        build_engine(save_pooling_onnx(tmp_path / "g.onnx", **graph), options(), folder=tmp_path)
    assert not list(tmp_path.glob("*.engine*"))


@pytest.mark.parametrize(
    ("operator", "element", "words"),
    [
        ("Det", TensorProto.FLOAT, r"node 0 'the_culprit' \(Det\).*does not take"),
        ("Transpose", TensorProto.UINT8, r"node 0 'the_culprit' \(Transpose\).*UInt8"),
        ("StringNormalizer", TensorProto.STRING, "Failed to convert ONNX"),
    ],
)
def test_a_node_that_tensorrt_does_not_take_is_named(tmp_path, operator, element, words):
    node = helper.make_node(operator, ["x"], ["y"], "the_culprit")
    graph = helper.make_graph([node], "g", [helper.make_tensor_value_info("x", element, [3, 3])], [helper.make_tensor_value_info("y", element, None)])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), tmp_path / "g.onnx")
    with pytest.raises(ExportError, match=words):
        build_engine(tmp_path / "g.onnx", options(pooling="function"), folder=tmp_path)


@pytest.mark.parametrize("content", [b"", b"no graph at all", os.urandom(4096)])
def test_a_file_that_is_no_graph_is_refused(tmp_path, content):
    (tmp_path / "g.onnx").write_bytes(content)
    with pytest.raises(ExportError, match=r"g\.onnx"):
        build_engine(tmp_path / "g.onnx", options(), folder=tmp_path)
    with pytest.raises(ExportError, match="not there"):
        build_engine(tmp_path / "other.onnx", options(), folder=tmp_path)


def test_what_the_options_say_must_be_true(vit_graphs, tmp_path):
    with pytest.raises(ExportError, match="computes in float16"):
        build_engine(vit_graphs["float16"], options(), folder=tmp_path)
    with pytest.raises(OptionsError, match="SM87"):
        build_engine(vit_graphs["float32"], options(architectures=("SM87",)), folder=tmp_path)
    with pytest.raises(OptionsError, match="SM120"):
        build_engine(vit_graphs["float32"], options(architectures=()), folder=tmp_path)
    with pytest.raises(OptionsError, match="timing cache"):
        build_engine(vit_graphs["float32"], options(timing_cache=tmp_path / "cache"), folder=tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.bundle
def test_a_graph_without_pooling_has_no_plugin(real_bundle, tmp_path):
    with pytest.raises(ExportError, match="no such node"):
        build_engine(real_bundle / "align.onnx", options(), folder=tmp_path)


def test_building_needs_neither_torch_nor_onnx(vit_graphs, tmp_path):
    code = f"""
import sys
from pathlib import Path
from redvillm.export.engine import EngineOptions, build_engine
from redvillm.export import engine_worker
build_engine(Path({str(vit_graphs["float32"])!r}), EngineOptions(precision="float32", architectures=("SM89",)), folder=Path({str(tmp_path)!r}))
assert not {{"torch", "onnx", "transformers"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    assert "export_bundle" in export.__all__
    assert callable(export.export_bundle)


def test_the_worker_prints_json_only(vit_graphs, tmp_path):
    task = {"onnx": str(vit_graphs["float32"]), "folder": str(tmp_path), "options": dataclasses.asdict(options())}
    command = [sys.executable, "-m", "redvillm.export.engine_worker"]
    done = subprocess.run(command, input=json.dumps(task), capture_output=True, text=True, check=True, timeout=60)
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert [set(record) for record in records[-2:]] == [{"progress"}, {"report"}]
    assert Path(records[-1]["report"]["path"]).is_file()
