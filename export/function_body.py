"""The body of a model-local function, node by node, and the parts that functions of the decoder share.

Knows onnx's messages; does not know which operator a function stands for.
"""

from typing import Any

import onnx
from onnx import TensorProto, helper

DOMAIN = "redvillm"
MICROSOFT_DOMAIN = "com.microsoft"
FUNCTION_OPSET = 21


class FunctionBody:
    """Collects the nodes of a function; values are named after the operator that makes them."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []

    def node(
        self, operator: str, *inputs: str, output: str = "", domain: str = "", refer: dict[str, tuple[str, int]] | None = None, **given: Any
    ) -> str:
        """Add a node; `refer` gives attributes of the node the function's attributes: name -> (attribute, type)."""
        name = output or f"{operator.lower()}_{len(self.nodes)}"
        node = helper.make_node(operator, list(inputs), [name], domain=domain, **given)
        for attribute, (source, kind) in (refer or {}).items():
            node.attribute.append(onnx.AttributeProto(name=attribute, ref_attr_name=source, type=kind))
        self.nodes.append(node)
        return name

    def integers(self, *values: int) -> str:
        """A constant vector of int64."""
        return self.node("Constant", value_ints=list(values))

    def byte(self, value: int) -> str:
        """A constant of uint8."""
        return self.node("Constant", value=helper.make_tensor("", TensorProto.UINT8, [], [value]))

    def norm(self) -> str:
        """RMS norm of `x` by `norm_weight`.

        In this form ONNX Runtime makes one operator of it; that operator itself, inside of a function, crashed version 1.32.
        """
        squares = self.node("Pow", "x", self.node("Constant", value_float=2.0))
        mean = self.node("ReduceMean", squares, self.integers(-1))
        epsilon = self.node("Constant", refer={"value_float": ("epsilon", onnx.AttributeProto.FLOAT)})
        root = self.node("Sqrt", self.node("Add", mean, epsilon))
        return self.node("Mul", self.node("Div", "x", root), "norm_weight")

    def finish(self, value: str, *, gate: bool, residual: bool) -> None:
        """SiLU of the first half times the second, then the residual, both where wanted; the result is `y`."""
        if gate:
            self.nodes.append(helper.make_node("Split", [value], ["gate", "up"], axis=-1, num_outputs=2))
            value = self.node("Mul", self.node("QuickGelu", "gate", domain=MICROSOFT_DOMAIN, alpha=1.0), "up")
        if residual:
            value = self.node("Add", value, "residual")
        self.node("Identity", value, output="y")

    def function(self, name: str, inputs: list[str], outputs: list[str], attributes: list[str]) -> onnx.FunctionProto:
        """Return the function."""
        opsets = [helper.make_opsetid("", FUNCTION_OPSET), helper.make_opsetid(MICROSOFT_DOMAIN, 1)]
        return helper.make_function(DOMAIN, name, inputs, outputs, self.nodes, opsets, attributes)
