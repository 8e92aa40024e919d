"""The operators of a decoder, redvillm::BlockLinear and redvillm::CachedAttention, as model-local functions of ONNX Runtime's own operators.

A runtime that has kernels for them (libredvillm_ort.so) uses these and ignores the functions; any other computes the functions: slower, with 8-bit
activations whose block sums are exact, and attention in float16. A function has no conditions, so every form of BlockLinear has a name of its own:
overloads of one name exist since ONNX 1.16, but onnxruntime 1.22 confuses them. What depends on constants alone is folded when the graph is loaded.

Knows operators; does not know weights or sizes.
"""

from dataclasses import dataclass

import onnx
from onnx import TensorProto, helper

from redvillm.export.function_body import MICROSOFT_DOMAIN, FunctionBody

BLOCK_LINEAR = "BlockLinear"
CACHED_ATTENTION = "CachedAttention"
_BLOCK = 32
_MIDDLES = {4: 8, 8: 128}  # zero points of MatMulNBits
_INT8_ACTIVATIONS = 4  # MatMulNBits' accuracy_level: the fast kernels, with activations in 8 bits per block


@dataclass(frozen=True, kw_only=True)
class LinearParts:
    """Which optional parts a BlockLinear has."""

    bits: int
    minimums: bool
    norm: bool = False
    gate: bool = False
    residual: bool = False

    @property
    def operator(self) -> str:
        """Name of this form, for example 'BlockLinear_4bit_minimums_norm_gate'."""
        optional = {"minimums": self.minimums, "norm": self.norm, "gate": self.gate, "residual": self.residual}
        return "_".join([BLOCK_LINEAR, f"{self.bits}bit", *(name for name, present in optional.items() if present)])


def block_linear_function(parts: LinearParts) -> onnx.FunctionProto:
    """Return activation(norm(x) @ weights.T) + residual, with the offsets of minimums as a product of their own.

    MatMulNBits is fast for integer zero points only: `scale * code + minimum` is `scale * (code - 8)`, its own form, plus `minimum + 8 * scale` times
    the sum of each block of x (128 instead of 8 for 8 bits).
    """
    body, x = FunctionBody(), "x"
    if parts.norm:
        x = body.norm()
    rows = body.node("Constant", refer={"value_int": ("num_outputs", onnx.AttributeProto.INT)})
    rows = body.node("Reshape", rows, body.integers(1))
    blocks = body.node("Slice", body.node("Shape", "scales"), body.integers(1), body.integers(2))
    codes = _plain_codes(body, parts.bits, rows, blocks)
    scales = _plain_blocks(body, "scales", rows, blocks)
    value = body.node(
        "MatMulNBits",
        x,
        codes,
        scales,
        domain=MICROSOFT_DOMAIN,
        bits=parts.bits,
        block_size=_BLOCK,
        accuracy_level=_INT8_ACTIVATIONS,
        refer={"K": ("num_inputs", onnx.AttributeProto.INT), "N": ("num_outputs", onnx.AttributeProto.INT)},
    )
    if parts.minimums:
        middle = body.node("Mul", scales, body.node("Constant", value_float=float(_MIDDLES[parts.bits])))
        offsets = body.node("Add", _plain_blocks(body, "minimums", rows, blocks), middle)
        in_blocks = body.node("Reshape", x, body.node("Concat", body.integers(0), blocks, body.integers(_BLOCK), axis=0))
        sums = body.node("ReduceSum", in_blocks, body.integers(2), keepdims=0)
        value = body.node("Gemm", sums, offsets, value, transB=1)
    body.finish(value, gate=parts.gate, residual=parts.residual)
    inputs = ["x", "codes", "scales", "minimums", "norm_weight", "residual"]
    return body.function(parts.operator, inputs, ["y"], ["bits", "num_inputs", "num_outputs", "epsilon", "activation"])


def _plain_codes(body: FunctionBody, bits: int, rows: str, blocks: str) -> str:
    """Undo the tiles: codes as MatMulNBits wants them, [out, in / 32, 32 * bits / 8], with two neighbours of 4 bits in a byte."""
    if bits == 8:
        plain = body.node("Transpose", "codes", perm=[0, 3, 1, 2, 4])
        return _first_rows(body, plain, rows, blocks, _BLOCK)
    four = body.byte(4)
    low, high = body.node("BitwiseAnd", "codes", body.byte(15)), body.node("BitShift", "codes", four, direction="RIGHT")
    axis = body.integers(3)
    groups = body.node("Concat", body.node("Unsqueeze", low, axis), body.node("Unsqueeze", high, axis), axis=3)
    plain = body.node("Reshape", body.node("Transpose", groups, perm=[0, 4, 1, 2, 3, 5]), body.integers(-1, 2))
    body.nodes.append(helper.make_node("Split", [plain], ["even", "odd"], axis=1, num_outputs=2))
    pairs = body.node("BitwiseOr", "even", body.node("BitShift", "odd", four, direction="LEFT"))
    return _first_rows(body, pairs, rows, blocks, _BLOCK // 2)


def _plain_blocks(body: FunctionBody, values: str, rows: str, blocks: str) -> str:
    """Undo the tiles of scales or minimums: float32 [out, in / 32]."""
    plain = body.node("Reshape", body.node("Transpose", values, perm=[0, 2, 1]), body.node("Concat", body.integers(-1), blocks, axis=0))
    kept = body.node("Slice", plain, body.integers(0), rows, body.integers(0))
    return body.node("Cast", kept, to=TensorProto.FLOAT)


def _first_rows(body: FunctionBody, plain: str, rows: str, blocks: str, block_bytes: int) -> str:
    shape = body.node("Concat", body.integers(-1), blocks, body.integers(block_bytes), axis=0)
    return body.node("Slice", body.node("Reshape", plain, shape), body.integers(0), rows, body.integers(0))


def cached_attention_function() -> onnx.FunctionProto:
    """Return attention by GroupQueryAttention, in the float16 of the cache."""
    body = FunctionBody()
    batch_axis = body.integers(0)
    packed = body.node("Cast", body.node("Unsqueeze", "packed", batch_axis), to=TensorProto.FLOAT16)
    tables = [body.node("Cast", table, to=TensorProto.FLOAT16) for table in ("cosines", "sines")]
    heads = {name: (name, onnx.AttributeProto.INT) for name in ("num_heads", "kv_num_heads")}
    inputs = [packed, "", "", "past_key", "past_value", "last_position", "sequence_length", *tables]
    node = helper.make_node(
        "GroupQueryAttention", inputs, ["attended_half", "present_key", "present_value"], domain=MICROSOFT_DOMAIN, do_rotary=1, rotary_interleaved=0
    )
    for attribute, (source, kind) in heads.items():
        node.attribute.append(onnx.AttributeProto(name=attribute, ref_attr_name=source, type=kind))
    body.nodes.append(node)
    body.node("Squeeze", body.node("Cast", "attended_half", to=TensorProto.FLOAT), batch_axis, output="attended")
    names = ["packed", "past_key", "past_value", "last_position", "sequence_length", "cosines", "sines"]
    return body.function(CACHED_ATTENTION, names, ["attended", "present_key", "present_value"], ["num_heads", "kv_num_heads"])
