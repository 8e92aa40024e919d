"""The layers of a graph whose weights are quantized: convolutions and products with a constant matrix.

Knows how a layer's inputs become columns; does not know codes or scales.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import helper
from torch import Tensor
from torch.nn import functional

MAX_SAMPLES = 16384  # columns of inputs that rounding looks at


@dataclass(frozen=True)
class Layer:
    """A Conv or MatMul node with constant weights."""

    node: onnx.NodeProto
    weights: NDArray[Any]  # float32 or float16
    bias: NDArray[Any] | None

    @classmethod
    def of(cls, node: onnx.NodeProto, constants: dict[str, NDArray[Any]]) -> Self | None:
        """Return the node as a layer, None if it is none."""
        if node.op_type not in {"Conv", "MatMul"} or node.domain or node.input[1] not in constants:
            return None
        weights = constants[node.input[1]]
        if node.op_type == "MatMul" and weights.ndim != 2:
            return None
        return cls(node, weights, constants[node.input[2]] if len(node.input) > 2 else None)

    @property
    def output_axis(self) -> int:
        """Axis of the outputs in the weights."""
        return 0 if self.node.op_type == "Conv" else 1

    def grouped_weights(self) -> Tensor:
        """Return the weights as [G, out, in]."""
        if self.node.op_type == "MatMul":
            return torch.from_numpy(self.weights.T.copy())[None]
        groups = self._attributes().get("group", 1)
        return torch.from_numpy(self.weights.copy()).reshape(groups, len(self.weights) // groups, -1)

    def weights_like(self, grouped: Tensor) -> NDArray[Any]:
        """Return [G, out, in] in the shape of the weights."""
        if self.node.op_type == "MatMul":
            return np.ascontiguousarray(grouped[0].numpy().T)
        return grouped.numpy().reshape(self.weights.shape)

    def columns(self, x: NDArray[Any]) -> Tensor:
        """Return the inputs of every output position as [G, in, samples], evenly thinned to at most MAX_SAMPLES."""
        if self.node.op_type == "MatMul":
            rows = x.reshape(-1, x.shape[-1])
            return torch.from_numpy(np.ascontiguousarray(_thinned(rows).T))[None]
        attributes = self._attributes()
        top, left, bottom, right = attributes.get("pads", [0, 0, 0, 0])
        kernel, strides = self.weights.shape[2:], attributes.get("strides", [1, 1])
        groups = attributes.get("group", 1)
        parts, per_frame = [], max(1, MAX_SAMPLES // len(x))
        for frame in torch.from_numpy(x).float():
            padded = functional.pad(frame[None], (left, right, top, bottom))
            columns = functional.unfold(padded, tuple(kernel), stride=tuple(strides))[0]
            parts.append(columns[:, :: -(-columns.shape[1] // per_frame)])
        return torch.cat(parts, 1).reshape(groups, -1, sum(part.shape[1] for part in parts))

    def _attributes(self) -> dict[str, Any]:
        return {attribute.name: helper.get_attribute_value(attribute) for attribute in self.node.attribute}


def _thinned(rows: NDArray[Any]) -> NDArray[Any]:
    return rows[:: -(-len(rows) // MAX_SAMPLES)]
