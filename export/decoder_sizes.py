"""Sizes and constants of a decoder. Knows numbers only."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class DecoderSizes:
    """Sizes and constants of a decoder.

    rotary_sections: for rotary embeddings over time, height and width (M-RoPE, arXiv 2409.12191): how many frequencies each of the three has, in
    order; empty for plain positions.
    """

    num_layers: int
    width: int
    feed_forward_width: int
    num_heads: int
    num_kv_heads: int
    head_width: int
    vocabulary_size: int
    max_context_tokens: int
    rope_base: float
    norm_epsilon: float
    rotary_sections: tuple[int, ...] = ()
