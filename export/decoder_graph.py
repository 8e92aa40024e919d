"""The graph of a Llama decoder for ONNX Runtime: 4-bit weights, grouped-query attention on a shared cache, logits only where they are asked for.

Written out node by node. The exporters that build such graphs (onnxruntime-genai's model builder, mobius-onnx) were tried on the same file: of what
they write, the attention and the norms could stay, while every matrix would be replaced (they round the zero points or quantize a second time),
q, k, v and gate, up be stacked, the token input, the attention mask and the head be cut away. That is longer than the graph and pins their internals.

Knows the operators of ONNX Runtime; does not know files, nor how a weight was quantized beyond `scale * (code - zero_point) + offset`.

    x, residual [S, H]; offsets as block_sums(x) @ offsets.T, added by Gemm to what MatMulNBits gives, once per stacked matrix
    qkv = linear(norm(x)); attention rotates, appends to the cache and attends; residual += linear(attention)
    residual += linear(silu(gate) * up); in the last layer only the rows `logits_indices` go on after the attention
"""

from typing import Literal

import numpy as np

from redvillm.export.embeddings import EmbeddingTable
from redvillm.export.gguf import FINAL_NORM, HEAD, GgufFile, LlamaSizes, layer_tensor, rotate_half_order
from redvillm.export.graph import GraphWriter
from redvillm.export.quantization import BLOCK, BlockWeights, read_block_weights, stack_rows
from redvillm.manifest import Graphs, GraphSpec, Tensors, TensorSpec

_MICROSOFT = "com.microsoft"
_INT8_ACTIVATIONS = 4  # MatMulNBits' accuracy_level: the fast kernels, with activations in 8 bits per block


def decoder_spec(sizes: LlamaSizes) -> GraphSpec:
    """Inputs and outputs of the graph (redvillm.manifest.Tensors tells what they mean)."""
    cache = (1, sizes.num_kv_heads, "C", sizes.head_width)
    kinds: tuple[Literal["key"], Literal["value"]] = ("key", "value")
    places = [(layer, kind) for layer in range(sizes.num_layers) for kind in kinds]
    return GraphSpec(
        inputs=(
            TensorSpec(name=Tensors.INPUT_EMBEDDINGS, dtype="float32", shape=(1, "S", sizes.width)),
            TensorSpec(name=Tensors.LOGITS_INDICES, dtype="int64", shape=("K",)),
            TensorSpec(name=Tensors.LAST_POSITION, dtype="int32", shape=(1,)),
            TensorSpec(name=Tensors.SEQUENCE_LENGTH, dtype="int32", shape=()),
            *(TensorSpec(name=Tensors.past(layer, kind), dtype="float32", shape=cache) for layer, kind in places),
        ),
        outputs=(
            TensorSpec(name=Tensors.LOGITS, dtype="float32", shape=("K", sizes.vocabulary_size)),
            *(TensorSpec(name=Tensors.present(layer, kind), dtype="float32", shape=cache) for layer, kind in places),
        ),
    )


class DecoderGraph:
    """Builds the nodes of one decoder; `writer` then holds the graph."""

    def __init__(self, source: GgufFile, table: EmbeddingTable, max_context_tokens: int) -> None:
        self.writer = GraphWriter(Graphs.DECODER)
        self._source = source
        self._sizes = source.sizes
        self._batch_axis = self.writer.constant("batch_axis", np.array([0], dtype=np.int64))
        self._block_axis = self.writer.constant("block_axis", np.array([-1], dtype=np.int64))
        self._cos, self._sin = self._rotary_tables(max_context_tokens)
        self._build(table)

    def _build(self, table: EmbeddingTable) -> None:
        residual = self.writer.node("Squeeze", [Tensors.INPUT_EMBEDDINGS, self._batch_axis], "embeddings")
        gamma = self._norm_weight("layer.0.attn_norm", layer_tensor(0, "attn_norm"))
        # an operator of ONNX Runtime, although it lies in the standard domain
        x = self.writer.node("SimplifiedLayerNormalization", [residual, gamma], "layer.0.attn_norm", epsilon=self._sizes.norm_epsilon, axis=-1)
        for layer in range(self._sizes.num_layers):
            last = layer + 1 == self._sizes.num_layers
            attended = self._attention(layer, x)
            if last:
                attended, residual = (
                    self.writer.node("Gather", [value, Tensors.LOGITS_INDICES], f"{value}.rows", axis=0) for value in (attended, residual)
                )
            projected = self._linear(f"layer.{layer}.attn_output", attended, self._weights(layer, "attn_output"))
            x, residual = self._add_and_norm(residual, projected, f"layer.{layer}.ffn_norm", layer_tensor(layer, "ffn_norm"))
            following = ("final_norm", FINAL_NORM) if last else (f"layer.{layer + 1}.attn_norm", layer_tensor(layer + 1, "attn_norm"))
            x, residual = self._add_and_norm(residual, self._feed_forward(layer, x), *following)
        self._head(x, table)

    def _attention(self, layer: int, x: str) -> str:
        """Queries, keys and values of x [S, H] -> attention over the cache, [S, num_heads * head_width]."""
        sizes, name = self._sizes, f"layer.{layer}.attn"
        queries, keys = (self._rotated(self._weights(layer, part)) for part in ("attn_q", "attn_k"))
        packed = self._linear(f"{name}_qkv", x, stack_rows([queries, keys, self._weights(layer, "attn_v")]))
        attended = self.writer.node(
            "GroupQueryAttention",
            [
                self.writer.node("Unsqueeze", [packed, self._batch_axis], f"{name}_qkv.batch"),
                "",
                "",
                Tensors.past(layer, "key"),
                Tensors.past(layer, "value"),
                Tensors.LAST_POSITION,
                Tensors.SEQUENCE_LENGTH,
                self._cos,
                self._sin,
            ],
            [f"{name}.batch", Tensors.present(layer, "key"), Tensors.present(layer, "value")],
            domain=_MICROSOFT,
            num_heads=sizes.num_heads,
            kv_num_heads=sizes.num_kv_heads,
            scale=sizes.head_width**-0.5,
            do_rotary=1,
            rotary_interleaved=0,
        )
        return self.writer.node("Squeeze", [attended, self._batch_axis], name)

    def _feed_forward(self, layer: int, x: str) -> str:
        name = f"layer.{layer}.ffn"
        stacked = self._linear(f"{name}_gate_up", x, stack_rows([self._weights(layer, part) for part in ("ffn_gate", "ffn_up")]))
        self.writer.node("Split", [stacked], [f"{name}_gate", f"{name}_up"], axis=-1, num_outputs=2)
        gate = self.writer.node("QuickGelu", [f"{name}_gate"], f"{name}_silu", domain=_MICROSOFT, alpha=1.0)
        product = self.writer.node("Mul", [gate, f"{name}_up"], f"{name}_product")
        return self._linear(f"{name}_down", product, self._weights(layer, "ffn_down"))

    def _head(self, x: str, table: EmbeddingTable) -> None:
        """Logits [K, V] of the normed rows; a tied head reads the files of the embedding table."""
        if HEAD in self._source:
            self._linear(Tensors.LOGITS, x, read_block_weights(self._source, HEAD))
            return
        scales = self.writer.constant_in_file("head.scales", table.scales.values, table.scales.file_name, table.scales.offset_bytes)
        codes = self.writer.constant_in_file("head.codes", table.weights.codes, table.codes.file_name, table.codes.offset_bytes)
        self._quantized_matmul(Tensors.LOGITS, [x, codes, scales], table.weights)

    def _linear(self, name: str, x: str, weights: BlockWeights) -> str:
        """Return x [S, in] @ weights.T, [S, out]."""
        inputs = [x, self.writer.constant(f"{name}.codes", weights.codes), self.writer.constant(f"{name}.scales", weights.scales)]
        if weights.offsets is None:
            return self._quantized_matmul(name, inputs, weights)
        scaled = self._quantized_matmul(f"{name}.scaled", inputs, weights)
        offsets = self.writer.constant(f"{name}.offsets", np.ascontiguousarray(weights.offsets.T))
        return self.writer.node("Gemm", [self._block_sums(x, weights.num_inputs), offsets, scaled], name)

    def _quantized_matmul(self, name: str, inputs: list[str], weights: BlockWeights) -> str:
        return self.writer.node(
            "MatMulNBits",
            inputs,
            name,
            domain=_MICROSOFT,
            K=weights.num_inputs,
            N=weights.num_outputs,
            bits=weights.bits,
            block_size=BLOCK,
            accuracy_level=_INT8_ACTIVATIONS,
        )

    def _block_sums(self, x: str, num_inputs: int) -> str:
        """Return the sums of x [S, in] over its blocks, [S, in / 32]."""
        shape = self.writer.constant(f"{x}.blocks_shape", np.array([-1, num_inputs // BLOCK, BLOCK], dtype=np.int64))
        blocks = self.writer.node("Reshape", [x, shape], f"{x}.blocks")
        return self.writer.node("ReduceSum", [blocks, self._block_axis], f"{x}.block_sums", keepdims=0)

    def _add_and_norm(self, residual: str, update: str, name: str, weight: str) -> tuple[str, str]:
        """Return (norm(residual + update), residual + update)."""
        outputs = [name, "", "", f"{name}.residual"]
        inputs = [residual, update, self._norm_weight(name, weight)]
        self.writer.node("SkipSimplifiedLayerNormalization", inputs, outputs, domain=_MICROSOFT, epsilon=self._sizes.norm_epsilon)
        return outputs[0], outputs[3]

    def _norm_weight(self, name: str, weight: str) -> str:
        return self.writer.constant(f"{name}.weight", self._source.dequantize(weight))

    def _weights(self, layer: int, part: str) -> BlockWeights:
        return read_block_weights(self._source, layer_tensor(layer, part))

    def _rotated(self, weights: BlockWeights) -> BlockWeights:
        return weights.rows(rotate_half_order(weights.num_outputs, self._sizes.head_width))

    def _rotary_tables(self, max_context_tokens: int) -> tuple[str, str]:
        """Cosines and sines [max_context_tokens, head_width / 2], in float64 until the end: float32 angles err by about 1e-4 at position 2000."""
        width = self._sizes.head_width
        angles = np.outer(np.arange(max_context_tokens), self._sizes.rope_base ** (-np.arange(0, width, 2) / width))
        tables = {"rotary.cos": np.cos(angles), "rotary.sin": np.sin(angles)}
        cos, sin = (self.writer.constant(name, values.astype(np.float32)) for name, values in tables.items())
        return cos, sin
