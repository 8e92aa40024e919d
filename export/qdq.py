"""Post-training quantization of a vision graph to 8 bits, written as QuantizeLinear / DequantizeLinear pairs.

One walk over the graph with calibration frames: every layer is rounded on the inputs that it will really get, those that the layers before it,
already quantized, give (see rounding.py), and its bias takes up the mean of what is left of the error. Pixels that the graph turns to numbers by
(pixel - integer) * scale are not quantized at all: they are 8-bit codes already.

Forms differ because no one form is fast everywhere. The graph may be in float32 or in float16, and stays so between its layers. Knows graphs of
convolutions and matrix products; does not know which encoder it has.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from redvillm.errors import ExportError
from redvillm.export.layers import Layer
from redvillm.export.node_runner import NodeRunner, Values
from redvillm.export.normalisation import fold_normalisation
from redvillm.export.rounding import round_weights

_ACTIVATIONS = {"Clip", "Relu"}
_SMALLEST_SCALE = {"float32": 1e-14, "float16": 1e-6}  # of float16, which ends at 6e-8


@dataclass(frozen=True)
class QuantizedForm:
    """What a runtime takes: type and symmetry of activations, and what is quantized beside the inputs of layers."""

    codes: type[np.uint8] | type[np.int8]
    symmetric: bool
    whole: bool  # biases, additions and the outputs of convolutions as well
    scores: bool = False  # both sides of the product that the softmax of attention reads, as well

    def grid(self, values: NDArray[Any]) -> "Grid":
        """Return the grid for float32 or float16 values of this range, with a scale of their type; zero is always on it."""
        low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
        limits, smallest = np.iinfo(self.codes), _SMALLEST_SCALE[values.dtype.name]
        if self.symmetric:
            return Grid(values.dtype.type(max(-low, high, smallest * limits.max) / limits.max), self.codes(0))
        scale = values.dtype.type(max((high - low) / (limits.max - limits.min), smallest))
        return Grid(scale, self.codes(limits.min + round(-low / float(scale))))


# ONNX Runtime's fast 8-bit kernels on x86 multiply unsigned activations by signed weights, and need a whole chain of 8-bit tensors.
ONNXRUNTIME_FORM = QuantizedForm(np.uint8, symmetric=False, whole=True)
# OpenVINO multiplies two activations in 8 bits if both are signed.
OPENVINO_FORM = QuantizedForm(np.int8, symmetric=True, whole=False, scores=True)
# TensorRT's parser takes signed symmetric pairs around the inputs of convolutions and products only.
TENSORRT_FORM = QuantizedForm(np.int8, symmetric=True, whole=False)


@dataclass(frozen=True)
class Grid:
    """value = (code - zero_point) * scale."""

    scale: np.float32 | np.float16
    zero_point: np.uint8 | np.int8

    def nearest(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return the values as the grid has them, rounded half to even as QuantizeLinear does."""
        limits = np.iinfo(self.zero_point.dtype)
        zero, scale = np.float32(self.zero_point), np.float32(self.scale)
        codes = np.clip(np.rint(values / scale) + zero, limits.min, limits.max)
        return np.asarray((codes - zero) * scale, dtype=values.dtype)


def quantize_graph(model: onnx.ModelProto, frames: NDArray[np.uint8], form: QuantizedForm) -> onnx.ModelProto:
    """Return the graph with its layers in 8 bits, calibrated on `frames`, the value of its one input.

    Raises:
        ExportError: the graph has no layer to quantize, or more than one input.
    """
    return _Walk(fold_normalisation(model) if form.whole else model, form).over(frames)


class _Walk:
    """State of one walk: the values of the given and of the quantized graph, and the quantized graph as far as it is written."""

    def __init__(self, model: onnx.ModelProto, form: QuantizedForm) -> None:
        self._model, self._form, self._run = model, form, NodeRunner(model).run
        self._constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
        self._uses = Counter(name for node in model.graph.node for name in node.input)
        self._layers_left = sum(Layer.of(node, self._constants) is not None for node in model.graph.node)
        self._exact: Values = dict(self._constants)
        self._quantized: Values = dict(self._constants)
        self._grids: dict[str, Grid] = {}
        self._names: dict[str, str] = {}  # of a tensor: the dequantized one that stands for it
        self._nodes: list[onnx.NodeProto] = []
        self._new: list[onnx.TensorProto] = []

    def over(self, frames: NDArray[np.uint8]) -> onnx.ModelProto:
        nodes, inputs = list(self._model.graph.node), self._model.graph.input
        if len(inputs) != 1:
            raise ExportError(f"a vision graph has one input, this one has {len(inputs)}; export it again")
        if not self._layers_left:
            raise ExportError("the graph has no convolution or product with constant weights; there is nothing to quantize")
        self._exact[inputs[0].name] = self._quantized[inputs[0].name] = frames
        for index, node in enumerate(nodes):
            following = nodes[index + 1].op_type if index + 1 < len(nodes) and nodes[index + 1].input[0] == node.output[0] else ""
            self._step(node, following)
            self._forget(node)
        return self._written()

    def _step(self, node: onnx.NodeProto, following: str) -> None:
        exact = self._run(node, self._exact)
        self._exact |= exact
        layer = Layer.of(node, self._constants)
        self._layers_left -= layer is not None
        if layer is not None and self._makes_tokens(node, following):
            layer = None
        if layer is not None:
            self._quantize_layer(layer)
        else:
            quantized = self._is_quantized_addition(node) or (self._form.scores and node.op_type == "MatMul" and following == "Softmax")
            self._copy(node, [self._pair(name) if quantized else self._names.get(name, name) for name in node.input])
        if node.op_type == "DequantizeLinear":
            scale, zero_point = (self._constants[name] for name in node.input[1:])
            self._names[node.output[0]] = node.output[0]
            self._grids[node.output[0]] = Grid(scale[()], zero_point[()])
        is_end_of_layer = (layer is not None and following not in _ACTIVATIONS) or node.op_type in _ACTIVATIONS
        if self._form.whole and is_end_of_layer and self._is_spatial(node):
            self._pair(node.output[0])

    def _makes_tokens(self, node: onnx.NodeProto, following: str) -> bool:
        """Tell a transformer's patch embedding, which starts its residual stream: in a whole form it stays in floating point, input to output."""
        readers = {reader.op_type for reader in self._model.graph.node if node.output[0] in reader.input}
        stays_map = bool(readers & {"Conv", "Add"}) or following in _ACTIVATIONS or not self._layers_left
        return self._form.whole and self._is_spatial(node) and not stays_map

    def _is_quantized_addition(self, node: onnx.NodeProto) -> bool:
        variable = not any(name in self._constants for name in node.input)
        return self._form.whole and node.op_type == "Add" and variable and self._is_spatial(node)

    def _is_spatial(self, node: onnx.NodeProto) -> bool:
        """Tell feature maps from token rows: these keep their residual stream and their layers' outputs in floating point."""
        return self._exact[node.output[0]].ndim == 4

    def _pair(self, name: str) -> str:
        """Quantize a tensor once, by the range of its exact values; return the name that stands for it."""
        if name in self._names:
            return self._names[name]
        exact = self._exact[name]
        grid = self._grids[name] = self._form.grid(exact)
        self._quantized[name] = grid.nearest(self._quantized[name])
        parameters = [self._constant(f"{name}_scale", np.asarray(grid.scale)), self._constant(f"{name}_zero_point", np.asarray(grid.zero_point))]
        self._node("QuantizeLinear", [name, *parameters], f"{name}_codes")
        self._names[name] = self._node("DequantizeLinear", [f"{name}_codes", *parameters], f"{name}_values")
        return self._names[name]

    def _quantize_layer(self, layer: Layer) -> None:
        node, (source, weights) = layer.node, layer.node.input[:2]
        x = self._pair(source)
        codes, scales = round_weights(layer.grouped_weights(), layer.columns(self._quantized[source]))
        # scales have the type of the weights; what that costs in float16 is far below what 8 bits do
        if layer.weights.dtype == np.float16:
            scales = scales.clamp_min(_SMALLEST_SCALE["float16"]).half()
        values = layer.weights_like(codes.float() * scales.float()[..., None]).astype(layer.weights.dtype)
        result = self._run(node, {**self._quantized, weights: values})[node.output[0]]
        exact = self._exact[node.output[0]]
        axis = 1 if node.op_type == "Conv" else -1
        others = tuple(index for index in range(exact.ndim) if index != axis % exact.ndim)
        shift = (exact - result).mean(others, dtype=np.float64)
        stands_for_weights = self._codes(f"{node.output[0]}_weights", layer.weights_like(codes), scales.flatten().numpy(), layer.output_axis)
        if layer.bias is None:
            self._copy(node, [x, stands_for_weights], result)
            return
        corrected = self._bias(layer, shift, scales.flatten().numpy() * self._grids[source].scale)
        shaped = shift.astype(exact.dtype).reshape([-1 if index == axis else 1 for index in range(exact.ndim)])
        self._copy(node, [x, stands_for_weights, corrected], result + shaped)

    def _bias(self, layer: Layer, shift: NDArray[np.float64], scales: NDArray[Any]) -> str:
        assert layer.bias is not None
        name, values = f"{layer.node.output[0]}_bias", layer.bias + shift
        if not self._form.whole:
            return self._constant(f"{name}_corrected", values.astype(layer.bias.dtype))
        codes = np.clip(np.rint(values / scales), -(2**31), 2**31 - 1).astype(np.int32)
        return self._codes(name, codes, scales.astype(np.float32), 0)

    def _codes(self, name: str, codes: NDArray[Any], scales: NDArray[Any], axis: int) -> str:
        zeros = np.zeros(len(scales), dtype=codes.dtype)
        inputs = [self._constant(f"{name}_{part}", values) for part, values in (("codes", codes), ("scale", scales), ("zero_point", zeros))]
        return self._node("DequantizeLinear", inputs, f"{name}_values", axis=axis)

    def _copy(self, node: onnx.NodeProto, inputs: list[str], result: NDArray[Any] | None = None) -> None:
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        copy.input[:] = inputs
        self._nodes.append(copy)
        self._quantized |= self._run(node, self._quantized) if result is None else {node.output[0]: result}

    def _node(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self._nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def _constant(self, name: str, values: NDArray[Any]) -> str:
        self._new.append(numpy_helper.from_array(values, name))
        return name

    def _forget(self, node: onnx.NodeProto) -> None:
        """Drop values that no later node reads."""
        for name in node.input:
            self._uses[name] -= 1
            if self._uses[name] == 0:
                self._exact.pop(name, None)
                self._quantized.pop(name, None)

    def _written(self) -> onnx.ModelProto:
        model = onnx.ModelProto()
        model.CopyFrom(self._model)
        used = {name for node in self._nodes for name in node.input}
        kept = [tensor for tensor in self._model.graph.initializer if tensor.name in used]
        for field, values in (("node", self._nodes), ("initializer", [*kept, *self._new])):
            model.graph.ClearField(field)
            getattr(model.graph, field).extend(values)
        model.graph.ClearField("value_info")
        return model
