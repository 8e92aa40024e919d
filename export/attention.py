"""Multi-head attention of vision encoders: torch's own in training, one fused operator in a graph.

An exporter that takes torch's attention apart leaves products and a softmax that ONNX Runtime does not put together again; one
`com.microsoft::MultiHeadAttention` node is computed in tiles that never write the whole attention matrix. TensorRT does not know that node.
Knows heads and shapes only.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

AttentionOperator = Literal["fused", "plain"]
OPERATOR_ATTRIBUTE = "attention_operator"  # of modules that attend: what their graphs get
_FUSED = "com.microsoft::MultiHeadAttention"  # onnxruntime's documentation: docs/ContribOperators.md


def attend(query: Tensor, key: Tensor, value: Tensor, num_heads: int, *, operator: AttentionOperator = "fused") -> Tensor:
    """Return softmax(Q K^T / sqrt(head width)) V of each head, [B, N, D]; every token sees every token.

    Args:
        query: [B, N, D] with the heads side by side in D.
        key: [B, M, D].
        value: [B, M, D].
        num_heads: divides D.
        operator: what an exported graph gets: the fused operator of ONNX Runtime, or plain operators for runtimes that do not know it.
    """
    if operator == "fused" and torch.onnx.is_in_onnx_export():
        return torch.onnx.ops.symbolic(_FUSED, (query, key, value), attrs={"num_heads": num_heads}, dtype=query.dtype, shape=query.shape, version=1)
    split = [x.reshape(*x.shape[:2], num_heads, -1).transpose(1, 2) for x in (query, key, value)]
    return functional.scaled_dot_product_attention(split[0], split[1], split[2]).transpose(1, 2).flatten(2)


@contextmanager
def attention_operator(module: nn.Module, operator: AttentionOperator) -> Iterator[None]:
    """While it lasts, graphs of `module` get this operator: all of its parts with an OPERATOR_ATTRIBUTE pass that to `attend`."""
    parts = [part for part in module.modules() if hasattr(part, OPERATOR_ATTRIBUTE)]
    before = [getattr(part, OPERATOR_ATTRIBUTE) for part in parts]
    try:
        for part in parts:
            setattr(part, OPERATOR_ATTRIBUTE, operator)
        yield
    finally:
        for part, chosen in zip(parts, before, strict=True):
            setattr(part, OPERATOR_ATTRIBUTE, chosen)
