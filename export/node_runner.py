"""A graph run node by node, so that each node's results can be looked at, or changed, before the next one runs.

Knows ONNX Runtime and single nodes; does not know what is done with the results.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import helper

Values = dict[str, NDArray[Any]]


class NodeRunner:
    """Runs single nodes of `model` with the model's own operator sets."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._opsets, self._ir_version = list(model.opset_import), model.ir_version
        self._options = onnxruntime.SessionOptions()
        self._options.log_severity_level = 3

    def run(self, node: onnx.NodeProto, values: Mapping[str, NDArray[Any]]) -> Values:
        """Return the node's outputs by name; `values` must hold its inputs."""
        feeds = {name: np.asarray(values[name]) for name in node.input if name}
        inputs = [helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape) for name, value in feeds.items()]
        names = [name for name in node.output if name]
        outputs = [helper.make_empty_tensor_value_info(name) for name in names]
        model = helper.make_model(helper.make_graph([node], "node", inputs, outputs), opset_imports=self._opsets, ir_version=self._ir_version)
        session = onnxruntime.InferenceSession(model.SerializeToString(), self._options, providers=["CPUExecutionProvider"])
        return dict(zip(names, session.run(names, feeds), strict=True))
