"""The fused attention of a graph, as ONNX Runtime runs it, against torch's own."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn
from torch.nn import functional

from redvillm.export.attention import attend
from redvillm.export.torch_graph import GraphPlan, export_graph


class Attention(nn.Module):
    def __init__(self, num_heads, operator):
        super().__init__()
        self.num_heads, self.operator = num_heads, operator

    def forward(self, x):
        query, key, value = x.chunk(3, dim=-1)
        return attend(query, key, value, self.num_heads, operator=self.operator)


def reference(query, key, value, num_heads):
    """In float64, written out."""
    query, key, value = (x.astype(np.float64).reshape(*x.shape[:2], num_heads, -1).transpose(0, 2, 1, 3) for x in (query, key, value))
    scores = query @ key.swapaxes(-1, -2) / np.sqrt(query.shape[-1])
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    out = (weights / weights.sum(-1, keepdims=True)) @ value
    return out.transpose(0, 2, 1, 3).reshape(out.shape[0], out.shape[2], -1)


@pytest.mark.parametrize("operator", ["fused", "plain"])
@pytest.mark.parametrize(("num_tokens", "num_heads", "head_width"), [(1, 1, 8), (7, 3, 8), (257, 6, 64), (19, 2, 5)])
def test_graph_and_torch_equal_the_definition(tmp_path, operator, num_tokens, num_heads, head_width):
    module, width = Attention(num_heads, operator), num_heads * head_width
    plan = GraphPlan(module, {"x": torch.randn(2, num_tokens, 3 * width)}, ["out"], {"x": {0: "num_frames"}})
    export_graph(plan, tmp_path / "attention.onnx")
    operators = {node.op_type for node in onnx.load(tmp_path / "attention.onnx").graph.node}
    assert ("MultiHeadAttention" in operators) == (operator == "fused")
    session = onnxruntime.InferenceSession(tmp_path / "attention.onnx", providers=["CPUExecutionProvider"])
    for num_frames in (1, 3):
        x = np.random.default_rng(num_frames).standard_normal((num_frames, num_tokens, 3 * width)).astype(np.float32)
        expected = reference(*np.split(x, 3, axis=-1), num_heads)
        # float32 sums over at most 257 tokens
        np.testing.assert_allclose(module(torch.from_numpy(x)).numpy(), expected, atol=2e-5)
        np.testing.assert_allclose(session.run(None, {"x": x})[0], expected, atol=2e-5)


def test_outside_an_export_it_is_torchs_own():
    x = torch.randn(2, 5, 12, requires_grad=True)
    heads = x.reshape(2, 5, 3, 4).transpose(1, 2)
    expected = functional.scaled_dot_product_attention(heads, heads, heads).transpose(1, 2).flatten(2)
    torch.testing.assert_close(attend(x, x, x, 3), expected)
    attend(x, x, x, 3).sum().backward()
    assert x.grad is not None
