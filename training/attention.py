"""Attention in float32 for an LLM in bfloat16: on a CPU, torch's own bfloat16 kernel takes three times as long, backwards above all.

Knows transformers' attention interface; does not know the model.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import AttentionInterface, LlamaForCausalLM

_NAME = "redvillm_float32"


def use_float32_attention(llm: LlamaForCausalLM) -> None:
    """Let the model attend in float32."""
    AttentionInterface.register(_NAME, _attend)
    llm.set_attn_implementation(_NAME)


def _attend(
    _module: torch.nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, *, scaling: float, **_: Any
) -> tuple[Tensor, None]:
    """Query [B, heads, S, d], key and value [B, kv_heads, S, d], bool mask [B, 1, S, S] -> [B, S, heads, d] in the query's dtype."""
    groups = query.shape[1] // key.shape[1]
    keys, values = (part.float().repeat_interleave(groups, 1) for part in (key, value))
    attended = functional.scaled_dot_product_attention(query.float(), keys, values, attn_mask=attention_mask, scale=scaling)
    return attended.to(query.dtype).transpose(1, 2).contiguous(), None
