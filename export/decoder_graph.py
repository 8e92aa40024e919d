"""The graph of a Llama decoder: five operators a layer, on 4-bit, 8-bit or float16 weights and a float16 cache; logits only where they are asked for.

Written out node by node. The exporters that build such graphs (onnxruntime-genai's model builder, mobius-onnx) were tried on the same file: every
matrix would be replaced (they round the zero points or quantize a second time), q, k, v and gate, up be stacked, the token input, the attention
mask and the head be cut away. That is longer than the graph and pins their internals.

Knows the operators of decoder_functions.py and half_linear.py; does not know files, nor how a weight was quantized.

    residual [S, H]
    qkv = linear(norm(residual)); attention rotates, appends to the cache and attends; residual = linear(attention) + residual
    residual = linear(silu(gate) * up of linear(norm(residual))) + residual; in the last layer only the rows `logits_indices` go on after it
"""

from pathlib import Path
from typing import Literal

import numpy as np

from redvillm.errors import ExportError
from redvillm.export.decoder_functions import LinearParts, block_linear_function, cached_attention_function
from redvillm.export.decoder_sizes import DecoderSizes
from redvillm.export.decoder_source import DecoderSource, FloatArray
from redvillm.export.embeddings import EmbeddingTable
from redvillm.export.graph import GraphWriter
from redvillm.export.half_linear import half_linear_function
from redvillm.export.half_weights import HalfWeights, stack_half_rows
from redvillm.export.quantization import BLOCK, BlockWeights, TiledWeights, stack_rows, tile
from redvillm.manifest import Graphs, GraphSpec, Tensors, TensorSpec

_LANES, _MAX_HEAD_WIDTH = 16, 256  # the kernels take heads in vectors of so many numbers


def decoder_spec(sizes: DecoderSizes) -> GraphSpec:
    """Inputs and outputs of the graph (redvillm.manifest.Tensors tells what they mean)."""
    cache = (1, sizes.num_kv_heads, "C", sizes.head_width)
    kinds: tuple[Literal["key"], Literal["value"]] = ("key", "value")
    tables = (Tensors.ROTARY_COSINES, Tensors.ROTARY_SINES) if sizes.rotary_sections else ()
    places = [(layer, kind) for layer in range(sizes.num_layers) for kind in kinds]
    return GraphSpec(
        inputs=(
            TensorSpec(name=Tensors.INPUT_EMBEDDINGS, dtype="float32", shape=(1, "S", sizes.width)),
            TensorSpec(name=Tensors.LOGITS_INDICES, dtype="int64", shape=("K",)),
            TensorSpec(name=Tensors.LAST_POSITION, dtype="int32", shape=(1,)),
            TensorSpec(name=Tensors.SEQUENCE_LENGTH, dtype="int32", shape=()),
            *(TensorSpec(name=name, dtype="float32", shape=("C", sizes.head_width // 2)) for name in tables),
            *(TensorSpec(name=Tensors.past(layer, kind), dtype="float16", shape=cache) for layer, kind in places),
        ),
        outputs=(
            TensorSpec(name=Tensors.LOGITS, dtype="float32", shape=("K", sizes.vocabulary_size)),
            *(TensorSpec(name=Tensors.present(layer, kind), dtype="float16", shape=cache) for layer, kind in places),
        ),
    )


def check_sizes(sizes: DecoderSizes, origin: str) -> None:
    """Check a decoder before it is read.

    Raises:
        ExportError: heads or layers of sizes that the operators do not take.
    """
    if sizes.head_width % _LANES or sizes.head_width > _MAX_HEAD_WIDTH or sizes.feed_forward_width % BLOCK or sizes.width % BLOCK:
        raise ExportError(
            f"{origin} has heads of width {sizes.head_width}, layers of {sizes.width} and feed-forward layers of {sizes.feed_forward_width}; "
            f"multiples of {_LANES} (at most {_MAX_HEAD_WIDTH}), {BLOCK} and {BLOCK} are wanted, choose another model"
        )


def layer_output(layer: int) -> str:
    """Name of the residual after a layer, [S, H]."""
    return f"layer.{layer}.ffn_down"


def products(layer: int) -> tuple[str, str, str, str]:
    """Names of what the four products of a layer give, [S, ...]; to the second and the last the residual is added."""
    return f"layer.{layer}.attn_qkv", f"layer.{layer}.attn_output", f"layer.{layer}.ffn_product", layer_output(layer)


class DecoderGraph:
    """Builds the nodes of one decoder; `writer` then holds the graph.

    Raises:
        ExportError: heads or layers of sizes that the operators do not take.
    """

    def __init__(self, source: DecoderSource, table: EmbeddingTable, folder: Path, max_context_tokens: int, *, in_half: bool = False) -> None:
        """`in_half` lets matrices that are in float16 be multiplied in float16."""
        self._in_half = in_half
        self.writer = GraphWriter(Graphs.DECODER, folder)
        self._source, self._sizes = source, source.sizes
        check_sizes(source.sizes, source.origin)
        self._cos, self._sin = self._rotary_tables(max_context_tokens)
        self._build(table)

    def _build(self, table: EmbeddingTable) -> None:
        batch_axis = self.writer.constant("batch_axis", np.array([0], dtype=np.int64))
        residual = self.writer.node("Squeeze", [Tensors.INPUT_EMBEDDINGS, batch_axis], "embeddings")
        for layer in range(self._sizes.num_layers):
            attended = self._attention(layer, residual)
            if layer + 1 == self._sizes.num_layers:
                attended, residual = (
                    self.writer.node("Gather", [value, Tensors.LOGITS_INDICES], f"{value}.rows", axis=0) for value in (attended, residual)
                )
            residual = self._linear(f"layer.{layer}.attn_output", attended, self._source.matrix(layer, "attn_output"), residual=residual)
            residual = self._feed_forward(layer, residual)
        self._head(residual, table)

    def _attention(self, layer: int, residual: str) -> str:
        """Queries, keys and values of the residual [S, H] -> attention over the cache, [S, num_heads * head_width]."""
        name = f"layer.{layer}.attn"
        parts = ("attn_q", "attn_k", "attn_v")
        stacked = _stacked([self._source.matrix(layer, part) for part in parts])
        packed = self._linear(f"{name}_qkv", residual, stacked, norm=self._source.norm(layer, "attn_norm"))
        packed = self._biased(f"{name}_biased", packed, [self._source.bias(layer, part) for part in parts])
        cache = [Tensors.past(layer, "key"), Tensors.past(layer, "value")]
        return self.writer.call(
            cached_attention_function(),
            [packed, *cache, Tensors.LAST_POSITION, Tensors.SEQUENCE_LENGTH, self._cos, self._sin],
            [name, Tensors.present(layer, "key"), Tensors.present(layer, "value")],
            num_heads=self._sizes.num_heads,
            kv_num_heads=self._sizes.num_kv_heads,
        )

    def _feed_forward(self, layer: int, residual: str) -> str:
        name = f"layer.{layer}.ffn"
        stacked = _stacked([self._source.matrix(layer, part) for part in ("ffn_gate", "ffn_up")])
        product = self._linear(f"{name}_product", residual, stacked, norm=self._source.norm(layer, "ffn_norm"), gate=True)
        return self._linear(layer_output(layer), product, self._source.matrix(layer, "ffn_down"), residual=residual)

    def _head(self, residual: str, table: EmbeddingTable) -> None:
        """Logits [K, V] of the normed rows; a tied head reads the files of the embedding table."""
        norm, head = self._source.final_norm(), self._source.head()
        if head is not None:
            self._linear(Tensors.LOGITS, residual, head, norm=norm)
            return
        stored = {"head.codes": table.codes, "head.scales": table.scales}
        constants = [self.writer.constant_in_file(name, array.values, array.file_name, array.offset_bytes) for name, array in stored.items()]
        self._block_linear(Tensors.LOGITS, residual, table.weights, [*constants, ""], norm=norm)

    def _linear(
        self, name: str, x: str, weights: BlockWeights | HalfWeights, *, norm: FloatArray | None = None, gate: bool = False, residual: str = ""
    ) -> str:
        """Return x [S, in] @ weights.T, [S, out], normed before if there is a `norm`, gated and added to `residual` after."""
        if isinstance(weights, HalfWeights):
            return self._half_linear(name, x, weights, norm=norm, gate=gate, residual=residual)
        tiled = tile(weights)
        constants = [self.writer.constant(f"{name}.codes", tiled.codes), self.writer.constant(f"{name}.scales", tiled.scales)]
        constants.append("" if tiled.minimums is None else self.writer.constant(f"{name}.minimums", tiled.minimums))
        return self._block_linear(name, x, tiled, constants, norm=norm, gate=gate, residual=residual)

    def _half_linear(self, name: str, x: str, weights: HalfWeights, *, norm: FloatArray | None, gate: bool, residual: str) -> str:
        values = self.writer.constant(f"{name}.weights", np.ascontiguousarray(weights.values.T))
        function = half_linear_function(norm=norm is not None, gate=gate, residual=bool(residual), in_half=self._in_half)
        inputs = _without_trailing_gaps([x, values, self._norm_weight(name, norm), residual])
        return self.writer.call(function, inputs, name, epsilon=self._sizes.norm_epsilon)

    def _norm_weight(self, name: str, norm: FloatArray | None) -> str:
        return "" if norm is None else self.writer.constant(f"{name}.norm_weight", norm)

    def _block_linear(
        self,
        name: str,
        x: str,
        weights: TiledWeights,
        constants: list[str],
        *,
        norm: FloatArray | None = None,
        gate: bool = False,
        residual: str = "",
    ) -> str:
        parts = LinearParts(bits=weights.bits, minimums=weights.minimums is not None, norm=norm is not None, gate=gate, residual=bool(residual))
        return self.writer.call(
            block_linear_function(parts),
            _without_trailing_gaps([x, *constants, self._norm_weight(name, norm), residual]),
            name,
            bits=weights.bits,
            num_inputs=weights.num_inputs,
            num_outputs=weights.num_outputs,
            epsilon=self._sizes.norm_epsilon,
            activation="silu_gate" if gate else "none",
        )

    def _biased(self, name: str, x: str, biases: list[FloatArray | None]) -> str:
        present = [bias for bias in biases if bias is not None]
        return self.writer.node("Add", [x, self.writer.constant(f"{name}.bias", np.concatenate(present))], name) if present else x

    def _rotary_tables(self, max_context_tokens: int) -> tuple[str, str]:
        """Cosines and sines [max_context_tokens, head_width / 2]: constants, or inputs where positions have three parts."""
        if self._sizes.rotary_sections:
            return Tensors.ROTARY_COSINES, Tensors.ROTARY_SINES
        tables = dict(zip(("rotary.cos", "rotary.sin"), self._source.rotary_tables(max_context_tokens), strict=True))
        cos, sin = (self.writer.constant(name, values) for name, values in tables.items())
        return cos, sin


def _stacked(parts: list[BlockWeights | HalfWeights]) -> BlockWeights | HalfWeights:
    halves = [part for part in parts if isinstance(part, HalfWeights)]
    return stack_half_rows(halves) if halves else stack_rows([part for part in parts if isinstance(part, BlockWeights)])


def _without_trailing_gaps(inputs: list[str]) -> list[str]:
    while not inputs[-1]:
        inputs = inputs[:-1]
    return inputs
