"""Writing one ONNX graph whose large constants lie in a data file beside it.

Knows onnx's messages; does not know what the graph computes. The layout is a function of the calls only: the same calls give the same bytes.
"""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper

from redvillm.files import atomic_file, storage_errors
from redvillm.manifest import GraphSpec, TensorSpec

_OPSET = 21
_IR_VERSION = 10
_PAGE_BYTES = 4096  # external data is mapped by pages; smaller constants stay in the graph


class GraphWriter:
    """Writes `NAME.onnx.data` as constants are added, so that no more than one of them is in memory, and `NAME.onnx` at the end.

    A folder in which this was broken off is of no use: bundles are written into a folder that gets its name when it is complete.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self._name, self._folder = name, folder
        self._nodes: list[onnx.NodeProto] = []
        self._functions: dict[str, onnx.FunctionProto] = {}
        self._constants: list[onnx.TensorProto] = []
        self._data_bytes = 0
        self._data_path = folder / f"{name}.data"
        self._data_path.write_bytes(b"")

    def constant(self, name: str, values: npt.NDArray[Any]) -> str:
        """Add a constant; return its name."""
        if values.nbytes < _PAGE_BYTES:
            self._constants.append(helper.make_tensor(name, _type(values), values.shape, values.tobytes(), raw=True))
            return name
        offset = -(-self._data_bytes // _PAGE_BYTES) * _PAGE_BYTES
        with storage_errors(self._data_path), self._data_path.open("r+b") as stream:
            stream.seek(offset)
            stream.write(np.ascontiguousarray(values).data)
        self._data_bytes = offset + values.nbytes
        return self.constant_in_file(name, values, f"{self._name}.data", offset)

    def constant_in_file(self, name: str, values: npt.NDArray[Any], location: str, offset: int) -> str:
        """Add a constant whose bytes lie in another file of the same folder; return its name."""
        tensor = onnx.TensorProto(name=name, data_type=_type(values), dims=values.shape, data_location=onnx.TensorProto.EXTERNAL)
        for key, value in (("location", location), ("offset", str(offset)), ("length", str(values.nbytes))):
            tensor.external_data.add(key=key, value=value)
        self._constants.append(tensor)
        return name

    def node(self, operator: str, inputs: list[str], output: str | list[str], *, domain: str = "", **attributes: Any) -> str:
        """Add a node; return the name of its first output."""
        outputs = [output] if isinstance(output, str) else output
        self._nodes.append(helper.make_node(operator, inputs, outputs, name=outputs[0], domain=domain, **attributes))
        return outputs[0]

    def call(self, function: onnx.FunctionProto, inputs: list[str], output: str | list[str], **attributes: Any) -> str:
        """Add a node of a model-local function, and the function once; return the name of its first output."""
        self._functions.setdefault(function.name, function)
        return self.node(function.name, inputs, output, domain=function.domain, **attributes)

    def write(self, spec: GraphSpec) -> None:
        """Write the graph; its data are written already.

        Raises:
            StorageError: the disk is full or not writable.
        """
        inputs, outputs = ([_value_info(tensor) for tensor in side] for side in (spec.inputs, spec.outputs))
        graph = helper.make_graph(self._nodes, Path(self._name).stem, inputs, outputs, self._constants)
        functions = list(self._functions.values())
        domains = dict.fromkeys(["com.microsoft", *(function.domain for function in functions)])
        opsets = [helper.make_opsetid("", _OPSET), *(helper.make_opsetid(domain, 1) for domain in domains)]
        model = helper.make_model(graph, opset_imports=opsets, functions=functions, ir_version=_IR_VERSION, producer_name="redvillm")
        with atomic_file(self._folder / self._name) as temporary:
            temporary.write_bytes(model.SerializeToString(deterministic=True))


def _type(values: npt.NDArray[Any]) -> int:
    return int(helper.np_dtype_to_tensor_dtype(values.dtype))


def _value_info(tensor: TensorSpec) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(tensor.name, helper.np_dtype_to_tensor_dtype(np.dtype(tensor.dtype)), tensor.shape)
