"""Block-quantized weights of a GGUF file, bit for bit, in plain order and in the tiles of redvillm::BlockLinear.

A weight is `scale * code + minimum`, with a scale and a minimum per block of 32 along the input, in the float16 of the file. A format without
minimums has its codes around the middle: the minimum is -8 * scale for 4 bits and -128 * scale for 8 bits, and is not stored.

Knows the formats Q4_0, Q4_1 and Q8_0 (https://github.com/ggml-org/ggml/blob/master/src/ggml-common.h); does not know graphs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from redvillm.errors import ExportError
from redvillm.export.gguf import GgufFile

BLOCK = 32
TILE_ROWS = 16
_MIDDLES = {4: 8, 8: 128}

ByteArray = npt.NDArray[np.uint8]
HalfArray = npt.NDArray[np.float16]
FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class BlockWeights:
    """One [out, in] matrix in blocks of 32 inputs.

    codes: uint8 [out, in / 32, 32], one code a byte.
    scales: float16 [out, in / 32].
    minimums: float16 [out, in / 32], or None for -8 * scale (4 bits) and -128 * scale (8 bits).
    """

    bits: int
    codes: ByteArray
    scales: HalfArray
    minimums: HalfArray | None

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
        minimums = None if self.minimums is None else self.minimums[order]
        return BlockWeights(bits=self.bits, codes=self.codes[order], scales=self.scales[order], minimums=minimums)

    def explicit_minimums(self) -> FloatArray:
        """Return the minimums, float32 [out, in / 32], also of a format that does not store them."""
        if self.minimums is not None:
            return self.minimums.astype(np.float32)
        return -_MIDDLES[self.bits] * self.scales.astype(np.float32)

    def dequantize(self) -> FloatArray:
        """Return the values, float32 [out, in]."""
        scales, minimums = self.scales.astype(np.float32), self.explicit_minimums()
        return (scales[..., None] * self.codes + minimums[..., None]).reshape(self.num_outputs, self.num_inputs)


@dataclass(frozen=True, kw_only=True)
class TiledWeights:
    """A matrix in tiles of 16 rows, padded with zeros: 16 rows of a group of inputs are what the kernels multiply at once.

    codes: uint8 [tiles, in / 32, 4, 16, 4] for 4 bits: byte i of group g holds input 8 g + i in its low half and 8 g + 4 + i in its high half.
        uint8 [tiles, in / 32, 8, 16, 4] for 8 bits: byte i of group g is input 4 g + i.
    scales: float16 [tiles, in / 32, 16].
    minimums: the same, or None.
    """

    bits: int
    num_outputs: int
    num_inputs: int
    codes: ByteArray
    scales: HalfArray
    minimums: HalfArray | None


def tile(weights: BlockWeights) -> TiledWeights:
    """Return the matrix in tiles."""
    num_blocks, padding = weights.codes.shape[1], -weights.num_outputs % TILE_ROWS
    codes = np.pad(weights.codes, ((0, padding), (0, 0), (0, 0))).reshape(-1, TILE_ROWS, num_blocks, 8, 4).transpose(0, 2, 3, 1, 4)
    if weights.bits == 4:
        codes = codes[:, :, 0::2] | (codes[:, :, 1::2] << np.uint8(4))
    return TiledWeights(
        bits=weights.bits,
        num_outputs=weights.num_outputs,
        num_inputs=weights.num_inputs,
        codes=np.ascontiguousarray(codes),
        scales=_tile_blocks(weights.scales),
        minimums=None if weights.minimums is None else _tile_blocks(weights.minimums),
    )


def _tile_blocks(values: HalfArray) -> HalfArray:
    padded = np.pad(values, ((0, -len(values) % TILE_ROWS), (0, 0)))
    return np.ascontiguousarray(padded.reshape(-1, TILE_ROWS, values.shape[1]).swapaxes(1, 2))


def read_block_weights(source: GgufFile, name: str) -> BlockWeights:
    """Read a quantized matrix of a GGUF file without changing a value.

    Raises:
        ExportError: the tensor is of another type than Q4_0, Q4_1 or Q8_0.
    """
    return check_quantization(source, name)(source.blocks(name))


def check_quantization(source: GgufFile, name: str) -> Callable[[ByteArray], BlockWeights]:
    """Return what reads the blocks of a matrix of a GGUF file.

    Raises:
        ExportError: the tensor is of another type than Q4_0, Q4_1 or Q8_0.
    """
    readers = {"Q4_0": _read_q4_0, "Q4_1": _read_q4_1, "Q8_0": _read_q8_0}
    quantization = source.quantization(name)
    if quantization not in readers:
        raise ExportError(
            f"{source.path}: {name} is stored as {quantization}; legal are {', '.join(sorted(readers))}. Choose a file quantized in one of these"
        )
    return readers[quantization]


def stack_rows(parts: Sequence[BlockWeights]) -> BlockWeights:
    """Stack matrices of the same input, so that one operator computes them all; where one has minimums, all get them, with the same values as before.

    Raises:
        ExportError: the parts have codes of different sizes.
    """
    if len({part.bits for part in parts}) > 1:
        raise ExportError("matrices that share an input are quantized in different formats; choose a file quantized in one format throughout")
    has_minimums = any(part.minimums is not None for part in parts)
    return BlockWeights(
        bits=parts[0].bits,
        codes=np.concatenate([part.codes for part in parts]),
        scales=np.concatenate([part.scales for part in parts]),
        minimums=np.concatenate([part.explicit_minimums().astype(np.float16) for part in parts]) if has_minimums else None,
    )


def _read_q4_0(blocks: ByteArray) -> BlockWeights:
    """18 bytes a block: scale d (float16), 16 bytes of codes; value d * (q - 8)."""
    block = blocks.reshape(len(blocks), -1, 18)
    return BlockWeights(bits=4, codes=_halves_of_bytes(block[..., 2:]), scales=_halves(block[..., :2])[..., 0], minimums=None)


def _read_q4_1(blocks: ByteArray) -> BlockWeights:
    """20 bytes a block: scale d and minimum m (float16), 16 bytes of codes; value d * q + m."""
    block = blocks.reshape(len(blocks), -1, 20)
    scales, minimums = np.moveaxis(_halves(block[..., :4]), -1, 0)
    return BlockWeights(bits=4, codes=_halves_of_bytes(block[..., 4:]), scales=scales, minimums=minimums)


def _read_q8_0(blocks: ByteArray) -> BlockWeights:
    """34 bytes a block: scale d (float16), 32 signed bytes; value d * q. The codes become unsigned: q + 128."""
    block = blocks.reshape(len(blocks), -1, 34)
    return BlockWeights(bits=8, codes=block[..., 2:] ^ np.uint8(128), scales=_halves(block[..., :2])[..., 0], minimums=None)


def _halves(raw: ByteArray) -> HalfArray:
    return np.ascontiguousarray(raw).view("<f2")


def _halves_of_bytes(packed: ByteArray) -> ByteArray:
    """GGUF pairs inputs i and i + 16 of a block in one byte."""
    return np.concatenate([packed & 15, packed >> 4], axis=-1)
