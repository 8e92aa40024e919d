"""Decisions about the enterprise library, which cannot be installed everywhere: stand-ins for its networks, its own words for versions."""

from types import SimpleNamespace

import pytest
from tensorrt_needs import has_driver

from redvillm.errors import BackendError, ExportError, OptionsError
from redvillm.export.engine_build import _architectures
from redvillm.export.engine_network import check_network, pooling_layers_of, precision_of
from redvillm.export.engine_options import EngineOptions
from redvillm.kernels.tensorrt_journal import PluginJournal
from redvillm.kernels.tensorrt_module import TensorRT


def layer(name, kind, metadata="", dtype="FLOAT"):
    output = SimpleNamespace(dtype=SimpleNamespace(name=dtype))
    return SimpleNamespace(name=name, type=SimpleNamespace(name=kind), metadata=metadata, get_output=lambda index: output)


def network(*layers):
    return SimpleNamespace(num_layers=len(layers), get_layer=lambda index: layers[index], num_inputs=0, num_outputs=0)


FUNCTION = (
    layer("conv", "CONVOLUTION", "[ONNX Layer: conv]"),
    layer("time", "REDUCE", "[ONNX Layer: time | call (SpatioTemporalPool)]"),
    layer("space", "REDUCE", "[ONNX Layer: space | call (SpatioTemporalPool)]"),
    layer("other", "REDUCE", "[ONNX Layer: other]"),
)


@pytest.mark.parametrize(("version", "prefers"), [("10.3.0", False), ("10.6.9", False), ("10.7.0", True), ("11.4.1", True)])
def test_which_versions_prefer_the_plugin(version, prefers):
    """The others are not shown the function: engine_network leaves it out."""
    assert TensorRT("tensorrt", version, None).prefers_plugins == prefers


@pytest.mark.parametrize("version", ["10.3.0", "10.7.0"])
@pytest.mark.parametrize("has_metadata", [True, False])
def test_where_the_function_was_taken_all_the_same_that_is_said(version, has_metadata):
    layers = FUNCTION if has_metadata else [layer(old.name, old.type.name) for old in FUNCTION]
    given, found = network(*layers), pooling_layers_of(network(*layers), "plugin", PluginJournal())
    assert len(found) == (2 if has_metadata else 0)
    with pytest.raises(ExportError, match="did not become a plugin"):
        check_network(TensorRT("tensorrt", version, None), given, EngineOptions(precision="float32"), found)
    check_network(TensorRT("tensorrt", version, None), given, EngineOptions(precision="float32", pooling="function"), found)


def test_a_plugin_of_somebody_else_is_not_ours():
    journal = PluginJournal()
    journal.add_layer("pool")
    given = network(layer("pool", "PLUGIN_V3"), layer("foreign", "PLUGIN_V3"))
    assert [found.name for found in pooling_layers_of(given, "plugin", journal)] == ["pool"]


def test_precisions():
    assert precision_of(network(layer("a", "MATRIX_MULTIPLY", dtype="HALF"), layer("b", "REDUCE"))) == "float16"
    assert precision_of(network(layer("a", "MATRIX_MULTIPLY", dtype="HALF"), layer("b", "CONVOLUTION"))) == "float16 and float32"
    assert precision_of(network(layer("a", "MATRIX_MULTIPLY", dtype="HALF"), layer("q", "QUANTIZE", dtype="INT8"))) == "int8"


def test_it_builds_for_its_own_gpu_only():
    with pytest.raises(OptionsError, match="leave architectures empty"):
        _architectures(TensorRT("tensorrt", "11.4.1", None), EngineOptions(precision="float32", architectures=("SM87",)))
    if not has_driver():
        with pytest.raises(BackendError, match="no NVIDIA driver"):
            _architectures(TensorRT("tensorrt", "11.4.1", None), EngineOptions(precision="float32"))
