"""Pixels that are made numbers by (pixel - integer) * scale are 8-bit codes of these numbers already: saying so saves quantizing them again.

Knows one pattern of nodes; does not know layers.
"""

import itertools
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

_PATTERNS = (("Cast", "Sub", "Mul"), ("Cast", "Transpose", "Sub", "Mul"))


def fold_normalisation(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the graph with Cast, Sub and Mul of uint8 pixels as one DequantizeLinear; unchanged where they are not there or not exact.

    A Transpose among them comes first, on bytes.
    """
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    inputs = {value.name for value in model.graph.input if value.type.tensor_type.elem_type == onnx.TensorProto.UINT8}
    nodes = list(model.graph.node)
    for pattern, start in itertools.product(_PATTERNS, range(len(nodes))):
        chain = nodes[start : start + len(pattern)]
        if tuple(node.op_type for node in chain) != pattern or not _is_chain(chain) or not _is_of_bytes(chain[0], nodes[:start], inputs):
            continue
        offset, scale = (constants.get(node.input[1]) for node in chain[-2:])
        if offset is not None and scale is not None and scale.size == 1 and _is_byte(offset):
            return _folded(model, start, chain, np.uint8(offset), np.float32(scale))
    return model


def _is_chain(nodes: list[onnx.NodeProto]) -> bool:
    return all(after.input[0] == before.output[0] for before, after in itertools.pairwise(nodes))


def _is_of_bytes(cast: onnx.NodeProto, before: list[onnx.NodeProto], inputs: set[str]) -> bool:
    moved = {node.output[0] for node in before if node.op_type == "Transpose" and node.input[0] in inputs}
    return cast.input[0] in inputs | moved


def _is_byte(value: NDArray[Any]) -> bool:
    return value.size == 1 and float(value) == int(value) and 0 <= int(value) <= 255


def _folded(model: onnx.ModelProto, start: int, chain: list[onnx.NodeProto], zero_point: np.uint8, scale: np.float32) -> onnx.ModelProto:
    folded = onnx.ModelProto()
    folded.CopyFrom(model)
    source, output = chain[0].input[0], chain[-1].output[0]
    names = [f"{output}_scale", f"{output}_zero_point"]
    new = []
    for transpose in chain[1:-2]:
        moved = onnx.NodeProto()
        moved.CopyFrom(transpose)
        moved.input[0] = source
        new.append(moved)
        source = moved.output[0]
    new.append(helper.make_node("DequantizeLinear", [source, *names], [output], name=output))
    nodes = list(model.graph.node)
    nodes[start : start + len(chain)] = new
    folded.graph.ClearField("node")
    folded.graph.node.extend(nodes)
    # kinds of the values between have changed
    folded.graph.ClearField("value_info")
    folded.graph.initializer.extend(numpy_helper.from_array(np.asarray(value), name) for name, value in zip(names, (scale, zero_point), strict=True))
    return folded
