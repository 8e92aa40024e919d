"""The product of a decoder with a matrix in float16, redvillm::HalfLinear: a function of standard operators, for which no kernel of our own exists.

On a CPU the matrix becomes float32 when the graph is loaded, and products are float32; a GPU computes them in float16, between values in float32.
Knows operators; does not know weights or sizes.
"""

import onnx
from onnx import TensorProto

from redvillm.export.function_body import FunctionBody

HALF_LINEAR = "HalfLinear"


def half_linear_function(*, norm: bool, gate: bool, residual: bool, in_half: bool) -> onnx.FunctionProto:
    """Return activation(norm(x) @ weights) + residual for weights float16 [in, out]; `in_half` computes the product in float16."""
    body = FunctionBody()
    x = body.norm() if norm else "x"
    if in_half:
        product = body.node("MatMul", body.node("Cast", x, to=TensorProto.FLOAT16), "weights")
        value = body.node("Cast", product, to=TensorProto.FLOAT)
    else:
        value = body.node("MatMul", x, body.node("Cast", "weights", to=TensorProto.FLOAT))
    body.finish(value, gate=gate, residual=residual)
    optional = {"norm": norm, "gate": gate, "residual": residual, "in_half": in_half}
    name = "_".join([HALF_LINEAR, *(part for part, present in optional.items() if present)])
    return body.function(name, ["x", "weights", "norm_weight", "residual"], ["y"], ["epsilon"])
