"""Reading a GGUF file of the Llama architecture: sizes, metadata and tensors.

Knows the GGUF container, its tensor names and how llama.cpp stores query and key rows. Does not know torch or onnx, nor what a tensor is used for.
Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
"""

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt

from redvillm.errors import ExportError
from redvillm.export.decoder_sizes import DecoderSizes

FloatArray = npt.NDArray[np.float32]
EMBEDDING = "token_embd.weight"
FINAL_NORM = "output_norm.weight"
ROTATED_PARTS = ("attn_q", "attn_k")  # rows in the order of `rotate_half_order`
HEAD = "output.weight"  # absent when the head is tied to the embedding


class GgufFile:
    """A GGUF file of the Llama architecture, memory-mapped.

    Raises:
        ExportError: not a readable GGUF file, or not of the Llama architecture with plain rotary embeddings.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._reader = gguf.GGUFReader(path)
        except FileNotFoundError:
            raise ExportError(f"there is no language model at {path}; fetch the weights first") from None
        except (OSError, ValueError, IndexError, KeyError) as error:
            raise ExportError(f"{path} is not a readable GGUF file ({error}); fetch it again") from error
        self._tensors = {tensor.name: tensor for tensor in self._reader.tensors}
        architecture = self.metadata("general.architecture")
        if architecture != "llama":
            raise ExportError(f"{path} holds the architecture {architecture!r:.60}, 'llama' is wanted; choose a Llama-like model")
        self.sizes = self._read_sizes()

    def metadata(self, key: str, default: Any = None) -> Any:
        """Return the value of a metadata key (a string, number, or list of them), or `default` when the key is absent.

        Raises:
            ExportError: the key is absent and there is no default.
        """
        field = self._reader.get_field(key)
        if field is not None:
            return field.contents()
        if default is None:
            raise ExportError(f"{self.path} lacks the metadata {key!r}; convert the model to GGUF again")
        return default

    def __contains__(self, name: str) -> bool:
        return name in self._tensors

    def tensor_sizes(self) -> dict[str, tuple[int, int]]:
        """Return numbers of weights and of bytes of every tensor, by its name."""
        return {name: (int(tensor.n_elements), int(tensor.n_bytes)) for name, tensor in self._tensors.items()}

    def quantization(self, name: str) -> str:
        """Return the name of a tensor's type, for example 'F32' or 'Q4_1'."""
        return str(self._tensor(name).tensor_type.name)

    def blocks(self, name: str) -> npt.NDArray[np.uint8]:
        """Return the raw bytes of a quantized matrix, uint8 [num_rows, bytes of a row]."""
        return np.asarray(self._tensor(name).data)

    def dequantize(self, name: str) -> FloatArray:
        """Return a tensor as float32, in rows of the output features: [out, in] or [width]."""
        tensor = self._tensor(name)
        values: FloatArray = gguf.dequantize(tensor.data, tensor.tensor_type).astype(np.float32, copy=False)
        return values

    def _tensor(self, name: str) -> Any:
        try:
            return self._tensors[name]
        except KeyError:
            raise ExportError(f"{self.path} lacks the tensor {name!r}; convert the model to GGUF again") from None

    def _read_sizes(self) -> DecoderSizes:
        num_heads = int(self.metadata("llama.attention.head_count"))
        width = int(self.metadata("llama.embedding_length"))
        head_width = int(self.metadata("llama.attention.key_length", width // num_heads))
        if int(self.metadata("llama.rope.dimension_count", head_width)) != head_width:
            raise ExportError(f"{self.path} rotates a part of each head, rotation of whole heads is wanted; choose another model")
        if "rope_freqs.weight" in self or "llama.rope.scaling.type" in self._reader.fields:
            raise ExportError(f"{self.path} scales its rotary embeddings, plain ones are wanted; choose another model")
        return DecoderSizes(
            num_layers=int(self.metadata("llama.block_count")),
            width=width,
            feed_forward_width=int(self.metadata("llama.feed_forward_length")),
            num_heads=num_heads,
            num_kv_heads=int(self.metadata("llama.attention.head_count_kv", num_heads)),
            head_width=head_width,
            vocabulary_size=int(self._tensor(EMBEDDING).shape[1]),
            max_context_tokens=int(self.metadata("llama.context_length")),
            rope_base=float(self.metadata("llama.rope.freq_base", 10000.0)),
            # float32 in the file; through its shortest decimal, 1e-5 is 1e-5 again
            norm_epsilon=float(str(np.float32(self.metadata("llama.attention.layer_norm_rms_epsilon")))),
        )


def layer_tensor(layer: int, part: str) -> str:
    """Name of a weight of one layer; `part` is llama.cpp's, for example 'attn_q'."""
    return f"blk.{layer}.{part}.weight"


def rotate_half_order(num_rows: int, head_width: int) -> npt.NDArray[np.intp]:
    """Row indices [num_rows] that bring stored query or key rows back into the order of rotate-half rotary embeddings.

    llama.cpp stores the two halves of every head interleaved (row 2j is j of the first half, row 2j + 1 is j of the second).
    """
    return np.arange(num_rows).reshape(-1, head_width // 2, 2).swapaxes(1, 2).reshape(-1)
