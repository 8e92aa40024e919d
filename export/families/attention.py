"""One attention operator in the graphs of transformers' vision encoders, through transformers' own interface for attention functions.

Knows that interface; does not know encoders.
"""

from typing import Any

from torch import Tensor
from transformers import AttentionInterface

from redvillm.errors import ExportError
from redvillm.export.attention import OPERATOR_ATTRIBUTE, attend

_NAME = "redvillm"


def use_fused_attention(encoder: Any) -> None:
    """Let a vision encoder of transformers attend with `redvillm.export.attention.attend`; `attention_operator` chooses what graphs get."""
    AttentionInterface.register(_NAME, _attend)
    for module in encoder.modules():
        if hasattr(getattr(module, "config", None), "_attn_implementation"):
            module.config._attn_implementation = _NAME
            setattr(module, OPERATOR_ATTRIBUTE, "fused")


def _attend(module: Any, query: Tensor, key: Tensor, value: Tensor, _mask: Tensor | None, **options: Any) -> tuple[Tensor, None]:
    """[B, heads, N, width] each -> [B, N, heads, width]; vision encoders on frames of one size mask nothing."""
    num_heads, head_width = query.shape[1], query.shape[-1]
    if abs(options["scaling"] * head_width**0.5 - 1) > 1e-6:
        raise ExportError(f"a vision encoder scales its attention by {options['scaling']:.4g}; 1 / sqrt({head_width}) is wanted")
    query, key, value = (part.transpose(1, 2).flatten(2) for part in (query, key, value))
    attended = attend(query, key, value, num_heads, operator=getattr(module, OPERATOR_ATTRIBUTE, "fused"))
    return attended.reshape(*attended.shape[:2], num_heads, head_width), None
