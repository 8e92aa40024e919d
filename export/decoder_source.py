"""What the graph of a decoder is made of, whatever file or model it comes from.

A decoder is one of the Llama architecture: RMS norms, queries, keys and values with rotary embeddings (with biases in Qwen2), a gated feed-forward
layer. Parts of a layer have llama.cpp's names: attn_norm, attn_q, attn_k, attn_v, attn_output, ffn_norm, ffn_gate, ffn_up, ffn_down.
Knows shapes; does not know files, graphs or torch.
"""

from typing import Protocol

import numpy as np
import numpy.typing as npt

from redvillm.export.decoder_sizes import DecoderSizes
from redvillm.export.half_weights import HalfWeights
from redvillm.export.quantization import BlockWeights

FloatArray = npt.NDArray[np.float32]


class DecoderSource(Protocol):
    """Sizes and weights of one decoder; every call reads one tensor."""

    @property
    def origin(self) -> str:
        """Where it comes from, for messages."""

    @property
    def sizes(self) -> DecoderSizes:
        """Its sizes."""

    def matrix(self, layer: int, part: str) -> BlockWeights | HalfWeights:
        """A matrix [out, in] of a layer, all of one kind; rows of queries and keys in the order of halves that are rotated together."""

    def bias(self, layer: int, part: str) -> FloatArray | None:
        """What is added to the product with that matrix, float32 [out]; None for nothing."""

    def norm(self, layer: int, part: str) -> FloatArray:
        """The weights of a norm of a layer, float32 [width]."""

    def final_norm(self) -> FloatArray:
        """The weights of the last norm, float32 [width]."""

    def embedding(self) -> BlockWeights:
        """The table of token embeddings [vocabulary_size, width], in 8 bits without minimums."""

    def head(self) -> BlockWeights | None:
        """The matrix of the logits [vocabulary_size, width]; None when it is the table of embeddings."""

    def rotary_tables(self, num_positions: int) -> tuple[FloatArray, FloatArray]:
        """Cosines and sines of the angles of each position, float32 [num_positions, head_width / 2]."""


def plain_rotary_tables(sizes: DecoderSizes, num_positions: int) -> tuple[FloatArray, FloatArray]:
    """Tables of unscaled rotary embeddings; in float64 until the end, as float32 angles err by about 1e-4 at position 2000."""
    width = sizes.head_width
    angles = np.outer(np.arange(num_positions), sizes.rope_base ** (-np.arange(0, width, 2) / width))
    return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
