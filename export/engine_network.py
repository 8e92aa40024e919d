"""A TensorRT network out of an ONNX file, and what can be read from it before it is built.

Knows TensorRT's parser and networks; does not know builds. Runs in the worker process: the parser may abort.
"""

import re
from pathlib import Path
from typing import Any

from redvillm.errors import ExportError
from redvillm.export.engine_options import EngineOptions, LayerInfo
from redvillm.export.onnx_functions import without_functions
from redvillm.kernels.tensorrt_journal import PluginJournal
from redvillm.kernels.tensorrt_module import TensorRT
from redvillm.kernels.tensorrt_rules import NAME
from redvillm.manifest import GraphSpec, TensorSpec

FRAMES = "num_frames"  # the one dynamic size of graphs that export.torch_graph writes
_DTYPES = {"FLOAT": "float32", "HALF": "float16", "UINT8": "uint8", "INT8": "int8", "INT32": "int32", "INT64": "int64", "BOOL": "bool"}
_PRODUCTS = ("CONVOLUTION", "MATRIX_MULTIPLY", "DECONVOLUTION", "EINSUM")
_NO_DRIVER = "CUDA driver version is insufficient"  # said once more with every error where there is no GPU


def parse_network(tensorrt: TensorRT, builder: Any, logger: Any, onnx: Path, *, pooling: str, journal: PluginJournal) -> Any:
    """Return the strongly typed network of an ONNX file; its functions are left out where this TensorRT would prefer them to the plugin.

    Raises:
        ExportError: the parser refused it; the message names the node and what the plugin said.
    """
    trt = tensorrt.module
    strongly_typed = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)  # TensorRT 11 knows nothing else and may drop the flag
    network = builder.create_network(0 if strongly_typed is None else 1 << int(strongly_typed))
    parser = trt.OnnxParser(network, logger)
    if pooling == "plugin" and not tensorrt.prefers_plugins:
        is_parsed = parser.parse(without_functions(onnx.read_bytes()), str(onnx))
    else:
        is_parsed = parser.parse_from_file(str(onnx))
    if not is_parsed or not network.num_layers:
        errors = [parser.get_error(index) for index in range(parser.num_errors)]
        raise ExportError(f"{tensorrt} cannot take {onnx.name}: {_refusal(errors, pooling, journal)}")
    return network


def layers_of(network: Any) -> tuple[LayerInfo, ...]:
    """Return names and types of all layers."""
    return tuple(LayerInfo(layer.name, layer.type.name) for layer in _layers(network))


def pooling_layers_of(network: Any, pooling: str, journal: PluginJournal) -> tuple[LayerInfo, ...]:
    """Return the layers that compute the pooling: plugin layers that are ours, or those that came from the function.

    The parser notes in a layer's metadata which function it came from; versions that do not note it report no function.
    """
    found = []
    for layer in _layers(network):
        if layer.type.name == "PLUGIN_V3":
            ours = pooling == "aot" or layer.name in journal.layers
        else:
            ours = bool(re.search(rf"\({NAME}\)", getattr(layer, "metadata", "")))
        if ours:
            found.append(LayerInfo(layer.name, layer.type.name))
    return tuple(found)


def precision_of(network: Any) -> str:
    """Return "int8" if there are Q/DQ nodes, else the type of all products (convolutions, matrix products), or of the outputs where there is none."""
    layers = _layers(network)
    if any(layer.type.name == "QUANTIZE" for layer in layers):
        return "int8"
    products = [layer.get_output(0) for layer in layers if layer.type.name in _PRODUCTS]
    tensors = products or [network.get_output(index) for index in range(network.num_outputs)]
    names = {_DTYPES.get(tensor.dtype.name, "other") for tensor in tensors}
    floats = sorted(names & {"float32", "float16"})
    return " and ".join(floats) if floats else "no floating type"


def check_network(tensorrt: TensorRT, network: Any, options: EngineOptions, pooling_layers: tuple[LayerInfo, ...]) -> None:
    """Require that the network is what the options say.

    Raises:
        ExportError: another precision; the pooling is computed by something else; a dynamic size that is not the number of frames.
    """
    if (precision := precision_of(network)) != options.precision:
        raise ExportError(f"the graph computes in {precision}, {options.precision} was asked for; export it in that precision, or ask for the other")
    plugins = [layer for layer in pooling_layers if layer.type == "PLUGIN_V3"]
    if options.pooling != "function" and not plugins:
        cause = (
            "the graph has no such node; ask for pooling 'function'"
            if not pooling_layers
            else f"{tensorrt} took the function in the graph; ask for pooling 'function', or install a newer TensorRT"
        )
        raise ExportError(f"redvillm::{NAME} did not become a plugin: {cause}")
    for index in range(network.num_inputs):
        tensor = network.get_input(index)
        for axis, size in enumerate(tensor.shape):
            if size < 0 and (axis or _dimension_name(tensor, axis) not in (FRAMES, "?")):
                raise ExportError(
                    f"input {tensor.name} has the dynamic size {_dimension_name(tensor, axis)!r} on axis {axis}; only the first axis, as {FRAMES!r}, "
                    "may be dynamic"
                )


def graph_of(network: Any) -> GraphSpec:
    """Return names, numpy dtypes and shapes of inputs and outputs."""
    inputs = tuple(_describe(network.get_input(index)) for index in range(network.num_inputs))
    return GraphSpec(inputs=inputs, outputs=tuple(_describe(network.get_output(index)) for index in range(network.num_outputs)))


def _layers(network: Any) -> list[Any]:
    return [network.get_layer(index) for index in range(network.num_layers)]


def _describe(tensor: Any) -> TensorSpec:
    shape = tuple(_dimension_name(tensor, axis) if size < 0 else int(size) for axis, size in enumerate(tensor.shape))
    return TensorSpec(name=tensor.name, dtype=_DTYPES.get(tensor.dtype.name, tensor.dtype.name), shape=shape)


def _dimension_name(tensor: Any, axis: int) -> str:
    """The name of a dynamic size in the ONNX file; TensorRT keeps those of inputs only."""
    return tensor.get_dimension_name(axis) or "?"


def _refusal(errors: list[Any], pooling: str, journal: PluginJournal) -> str:
    """One sentence out of the parser's errors; the plugin's own words come first, for the parser knows only that it failed."""
    if not errors:
        return "it holds no node; export it again"
    error = errors[0]
    operator = error.node_operator() if hasattr(error, "node_operator") else ""
    name = error.node_name() if hasattr(error, "node_name") else ""
    where = f"node {error.node()} {name!r} ({operator})" if error.node() >= 0 else "the file"
    if journal.refusals:
        return f"{where}: {'; '.join(journal.refusals)}"
    if "Plugin not found" in error.desc():
        if operator == NAME and pooling == "function":
            return f"{where} has no function in this graph; ask for pooling 'plugin', or export the graph with the function"
        return f"{where}: TensorRT has no such operator, and no plugin of that name is registered; export the graph with standard operators"
    lines = [line for line in error.desc().splitlines() if line and _NO_DRIVER not in line]
    words = f" ({' '.join(lines)})" if lines else ""
    return f"{where} is something it does not take{words}; change what is exported, docs/tensorrt.md says what was met so far"
