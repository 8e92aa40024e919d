"""From a torch module to an ONNX file with the tensor names of the manifest, the same bytes every time.

Knows torch.onnx and the onnx file format; does not know what the modules compute.
"""

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from redvillm.errors import ExportError
from redvillm.files import sha256_of
from redvillm.manifest import GraphSpec, TensorSpec

_OPSET = 20
_PRODUCER = "redvillm"
_MAX_DYNAMIC_SIZE = 4096
_DATA_KEY = "data_sha256"
_MAX_FILE_BYTES = 1 << 30  # protobuf ends at 2 GB


@dataclass(frozen=True)
class GraphPlan:
    """A module with example inputs, and the names that its inputs, outputs and dynamic sizes get.

    `dynamic_sizes` maps an input name to {axis: name of the size}.
    """

    module: nn.Module
    inputs: Mapping[str, Tensor]
    outputs: Sequence[str]
    dynamic_sizes: Mapping[str, Mapping[int, str]]


def export_graph(
    plan: GraphPlan, path: Path, *, functions: Sequence[onnx.FunctionProto] = (), opsets: Sequence[onnx.OperatorSetIdProto] = ()
) -> GraphSpec:
    """Write the module to `path`; `functions` are added as model-local functions, `opsets` are those of its custom operators.

    Raises:
        ExportError: torch cannot export the module, or the graph does not pass the onnx checker.
    """
    model = _traced(plan, path.name)
    model.functions.extend(functions)
    known_domains = {opset.domain for opset in model.opset_import}
    model.opset_import.extend(opset for opset in opsets if opset.domain not in known_domains)
    _strip(model)
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        raise ExportError(f"{path.name} is not a valid graph: {error}") from error
    write_graph(model, path)
    return describe_graph(model.graph)


def write_graph(model: onnx.ModelProto, path: Path) -> None:
    """Write a graph; weights that one file of protobuf cannot hold go into NAME.onnx.data beside it.

    The graph then holds the sha256 of that file, so that the graph's own stands for all of its weights.
    """
    if model.ByteSize() < _MAX_FILE_BYTES:
        path.write_bytes(model.SerializeToString(deterministic=True))
        return
    data = path.with_name(f"{path.name}.data")
    onnx.save_model(model, path, save_as_external_data=True, all_tensors_to_one_file=True, location=data.name, size_threshold=4096)
    written = onnx.load(path, load_external_data=False)
    written.metadata_props.add(key=_DATA_KEY, value=sha256_of(data))
    path.write_bytes(written.SerializeToString(deterministic=True))


def describe_graph(graph: onnx.GraphProto) -> GraphSpec:
    """Return names, numpy dtypes and shapes of the inputs and outputs of a graph."""
    return GraphSpec(inputs=tuple(map(_describe, graph.input)), outputs=tuple(map(_describe, graph.output)))


def _traced(plan: GraphPlan, name: str) -> onnx.ModelProto:
    sizes: dict[str, torch.export.Dim] = {}
    dynamic_shapes = tuple(
        {axis: sizes.setdefault(size, torch.export.Dim(size, min=1, max=_MAX_DYNAMIC_SIZE)) for axis, size in plan.dynamic_sizes.get(key, {}).items()}
        for key in plan.inputs
    )
    try:
        with torch.inference_mode(), _quiet_exporter():
            program = torch.onnx.export(
                plan.module.eval(),
                tuple(plan.inputs.values()),
                input_names=list(plan.inputs),
                output_names=list(plan.outputs),
                dynamic_shapes=dynamic_shapes,
                opset_version=_OPSET,
                dynamo=True,
                verbose=False,
            )
    except Exception as error:  # the exporter raises many kinds
        raise ExportError(f"torch could not export {name}: {error}") from error
    assert program is not None
    model: onnx.ModelProto = program.model_proto
    return model


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Hold back the exporter's notes on packages that are not installed and on its own deprecations."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            warnings.simplefilter("ignore", DeprecationWarning)
            yield
    finally:
        logger.setLevel(level)


def _describe(value: onnx.ValueInfoProto) -> TensorSpec:
    tensor = value.type.tensor_type
    dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name
    return TensorSpec(name=value.name, dtype=dtype, shape=tuple(size.dim_param or size.dim_value for size in tensor.shape.dim))


def _strip(model: onnx.ModelProto) -> None:
    """Remove what differs from one machine or run to another: source lines, paths, version strings."""
    model.producer_name, model.producer_version, model.doc_string = _PRODUCER, "", ""
    del model.metadata_props[:]
    del model.graph.metadata_props[:]
    model.graph.doc_string = ""
    for item in (*model.graph.value_info, *model.graph.input, *model.graph.output, *model.graph.initializer):
        del item.metadata_props[:]
        item.doc_string = ""
    for holder in (model.graph, *model.functions):
        for node in holder.node:
            del node.metadata_props[:]
            node.doc_string = ""
