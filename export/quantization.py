"""Block-quantized weights of a GGUF file in the layout of ONNX Runtime's MatMulNBits, bit for bit.

A weight is `scale * (code - zero_point) + offset`, per block of 32 along the input. The zero point is the operator's default (8 for 4 bits, 128 for
8 bits), so that codes stay as they are and what remains of an asymmetric format is the offset: for Q4_1, `d * q + m = d * (q - 8) + (m + 8 * d)`.
ONNX Runtime has fast kernels for integer zero points only; the graph adds the offsets as `block_sums(x) @ offsets.T` (see decoder_graph.py).
With 8-bit activations the middle zero point is also the more precise one: on text, a fourth of the divergence that a zero point of 0 gives.

Knows the formats Q4_0, Q4_1 and Q8_0 (https://github.com/ggml-org/ggml/blob/master/src/ggml-common.h); does not know graphs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from redvillm.errors import ExportError
from redvillm.export.gguf import GgufFile

BLOCK = 32
_ZERO_POINTS = {4: 8, 8: 128}

ByteArray = npt.NDArray[np.uint8]
FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class BlockWeights:
    """One [out, in] matrix in blocks of 32 inputs.

    codes: uint8 [out, in / 32, 32 * bits / 8]; two 4-bit codes share a byte, the even input in the low half.
    scales: float32 [out, in / 32].
    offsets: float32 [out, in / 32], or None when all are zero.
    """

    bits: int
    codes: ByteArray
    scales: FloatArray
    offsets: FloatArray | None

    @property
    def num_outputs(self) -> int:
        """Rows of the matrix."""
        return int(self.codes.shape[0])

    @property
    def num_inputs(self) -> int:
        """Columns of the matrix."""
        return int(self.codes.shape[1]) * BLOCK

    def rows(self, order: npt.NDArray[np.intp]) -> "BlockWeights":
        """Return the matrix with its rows in another order."""
        offsets = None if self.offsets is None else self.offsets[order]
        return BlockWeights(bits=self.bits, codes=self.codes[order], scales=self.scales[order], offsets=offsets)

    def dequantize(self) -> FloatArray:
        """Return the values, float32 [out, in]."""
        codes = self.codes if self.bits == 8 else np.stack([self.codes & 15, self.codes >> 4], axis=-1).reshape(*self.scales.shape, BLOCK)
        values = self.scales[..., None] * (codes.astype(np.float32) - _ZERO_POINTS[self.bits])
        if self.offsets is not None:
            values += self.offsets[..., None]
        return values.reshape(self.num_outputs, self.num_inputs)


def read_block_weights(source: GgufFile, name: str) -> BlockWeights:
    """Read a quantized matrix of a GGUF file without changing a value.

    Raises:
        ExportError: the tensor is of another type than Q4_0, Q4_1 or Q8_0.
    """
    readers = {"Q4_0": _read_q4_0, "Q4_1": _read_q4_1, "Q8_0": _read_q8_0}
    quantization = source.quantization(name)
    if quantization not in readers:
        raise ExportError(
            f"{source.path}: {name} is stored as {quantization}; legal are {', '.join(sorted(readers))}. Choose a file quantized in one of these"
        )
    return readers[quantization](source.blocks(name))


def stack_rows(parts: Sequence[BlockWeights]) -> BlockWeights:
    """Stack matrices of the same input, so that one operator computes them all.

    Raises:
        ExportError: the parts are quantized differently.
    """
    if len({(part.bits, part.offsets is None) for part in parts}) > 1:
        raise ExportError("matrices that share an input are quantized in different formats; choose a file quantized in one format throughout")
    offsets = [part.offsets for part in parts if part.offsets is not None]
    return BlockWeights(
        bits=parts[0].bits,
        codes=np.concatenate([part.codes for part in parts]),
        scales=np.concatenate([part.scales for part in parts]),
        offsets=np.concatenate(offsets) if offsets else None,
    )


def _read_q4_0(blocks: ByteArray) -> BlockWeights:
    """18 bytes a block: scale d (float16), 16 bytes of codes; value d * (q - 8)."""
    block = blocks.reshape(len(blocks), -1, 18)
    return BlockWeights(bits=4, codes=_pair_neighbours(block[..., 2:]), scales=_halves(block[..., :2])[..., 0], offsets=None)


def _read_q4_1(blocks: ByteArray) -> BlockWeights:
    """20 bytes a block: scale d and minimum m (float16), 16 bytes of codes; value d * q + m."""
    block = blocks.reshape(len(blocks), -1, 20)
    scales, minimums = np.moveaxis(_halves(block[..., :4]), -1, 0)
    return BlockWeights(
        bits=4, codes=_pair_neighbours(block[..., 4:]), scales=np.ascontiguousarray(scales), offsets=minimums + _ZERO_POINTS[4] * scales
    )


def _read_q8_0(blocks: ByteArray) -> BlockWeights:
    """34 bytes a block: scale d (float16), 32 signed bytes; value d * q. The codes become unsigned: q + 128."""
    block = blocks.reshape(len(blocks), -1, 34)
    return BlockWeights(bits=8, codes=block[..., 2:] ^ np.uint8(128), scales=_halves(block[..., :2])[..., 0], offsets=None)


def _halves(raw: ByteArray) -> FloatArray:
    return np.ascontiguousarray(raw).view("<f2").astype(np.float32)


def _pair_neighbours(packed: ByteArray) -> ByteArray:
    """GGUF pairs inputs i and i + 16 of a block in one byte, MatMulNBits inputs 2i and 2i + 1."""
    codes = np.concatenate([packed & 15, packed >> 4], axis=-1)
    pairs: ByteArray = codes[..., 0::2] | (codes[..., 1::2] << 4)
    return pairs
