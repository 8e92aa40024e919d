"""A Llama in another basis: the same function, with weights that lie on no grid of a quantized file.

    y = W g(x) with RMS norm g;   E' = E R,  W' = (W diag(g)) R,  V' = R^T V

The weights of each norm go into the matrices after it; then the residual stream is turned by a random rotation R, which a norm does not see (QuaRot,
arXiv 2404.00456, turns it to make outliers smaller; here it makes weights that were quantized once ordinary ones). Knows transformers' Llama.
"""

import copy
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import LlamaForCausalLM


def rotated(llm: LlamaForCausalLM, seed: int = 0) -> LlamaForCausalLM:
    """Return a copy in a random basis, float32; its head is no longer tied to its embeddings."""
    llm = copy.deepcopy(llm).float()
    width = llm.config.hidden_size
    rotation = torch.from_numpy(np.linalg.qr(np.random.default_rng(seed).normal(size=(width, width)))[0]).float()
    model: Any = llm.model
    head = nn.Linear(width, llm.config.vocab_size, bias=False)
    head.weight = nn.Parameter(llm.lm_head.weight.detach() * model.norm.weight @ rotation, requires_grad=False)
    llm.lm_head, llm.config.tie_word_embeddings = head, False
    model.norm.weight = _ones(width)
    model.embed_tokens.weight = nn.Parameter(model.embed_tokens.weight.detach() @ rotation, requires_grad=False)
    for layer in model.layers:
        attention, feed_forward = layer.self_attn, layer.mlp
        for norm, readers in (
            ("input_layernorm", (attention.q_proj, attention.k_proj, attention.v_proj)),
            ("post_attention_layernorm", (feed_forward.gate_proj, feed_forward.up_proj)),
        ):
            weights: Tensor = getattr(layer, norm).weight
            for linear in readers:
                linear.weight.data = linear.weight * weights @ rotation
            getattr(layer, norm).weight = _ones(width)
        for linear in (attention.o_proj, feed_forward.down_proj):
            linear.weight.data = rotation.T @ linear.weight
    return llm.eval()


def _ones(width: int) -> nn.Parameter:
    return nn.Parameter(torch.ones(width), requires_grad=False)
