"""A graph run node by node, so that each node's results can be looked at, or changed, before the next one runs.

Knows ONNX Runtime and single nodes; does not know what is done with the results.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from redvillm.export.graph_run import session_options

Values = dict[str, NDArray[Any]]


class NodeRunner:
    """Runs single nodes of `model` with the model's own operator sets."""

    def __init__(self, model: onnx.ModelProto, *, library: Path | None = None) -> None:
        """`library` has kernels for the model's own operators; without one, the functions of the model are what they compute."""
        self._opsets, self._ir_version = list(model.opset_import), model.ir_version
        self._functions = {(function.domain, function.name): function for function in model.functions}
        self._options = session_options(library)

    def run(self, node: onnx.NodeProto, values: Mapping[str, NDArray[Any]]) -> Values:
        """Return the node's outputs by name; `values` must hold its inputs."""
        feeds = {name: np.asarray(values[name]) for name in node.input if name}
        inputs = [helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape) for name, value in feeds.items()]
        names = [name for name in node.output if name]
        outputs = [helper.make_empty_tensor_value_info(name) for name in names]
        graph, function = helper.make_graph([node], "node", inputs, outputs), self._functions.get((node.domain, node.op_type))
        functions = [] if function is None else [function]
        model = helper.make_model(graph, functions=functions, opset_imports=self._opsets, ir_version=self._ir_version)
        session = onnxruntime.InferenceSession(model.SerializeToString(), self._options, providers=["CPUExecutionProvider"])
        return dict(zip(names, session.run(names, feeds), strict=True))


def run_node_by_node(
    model: onnx.ModelProto, feeds: Mapping[str, NDArray[Any]], names: Sequence[str], *, library: Path | None = None
) -> list[NDArray[Any]]:
    """Run a graph so that each result has its own type before the next node reads it; return the values of `names`.

    ONNX Runtime's CPU provider computes chains of float16 nodes in float32, and a value that float16 cannot hold comes out whole. A device stores it.

    Raises:
        ExportError: this onnxruntime does not take the library.
    """
    run = NodeRunner(model, library=library).run
    uses = Counter(name for node in model.graph.node for name in node.input) + Counter(names)
    values: Values = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer} | dict(feeds)
    for node in model.graph.node:
        values |= run(node, values)
        for name in node.input:
            uses[name] -= 1
            if uses[name] == 0:
                values.pop(name, None)
    return [values[name] for name in names]


def run_half_graph(graph: Path, feeds: Mapping[str, NDArray[Any]], *, library: Path | None = None) -> list[NDArray[np.float32]]:
    """Run a graph that computes in float16 node by node; return all of its outputs.

    Raises:
        ExportError: as `run_node_by_node`.
    """
    model = onnx.load(graph)
    return run_node_by_node(model, feeds, [value.name for value in model.graph.output], library=library)
