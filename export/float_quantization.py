"""How matrices of floats are stored, and quantizing one to blocks of 32: scale, code and minimum.

For each block several ranges are tried, from that of its values down to four fifths of it; for each, scale and minimum are fitted to the codes by
least squares, and the one with the smallest squared error stays. Knows numbers; does not know where a matrix comes from. A matrix that is quantized
already must not come here: quantizing 4-bit values again costs far more than the first time (docs/LOG.md).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from redvillm.errors import ExportError, OptionsError
from redvillm.export.quantization import BLOCK, BlockWeights, FloatArray

_RANGES = (1.0, 0.96, 0.92, 0.88, 0.84, 0.8)
_MIDDLES = {4: 8, 8: 128}
_ROWS = 256  # at once: the temporary arrays of a large matrix stay small


@dataclass(frozen=True, kw_only=True)
class BlockFormat:
    """How matrices are stored: bits of a code, and with or without a minimum a block."""

    bits: int
    symmetric: bool

    def __post_init__(self) -> None:
        if self.bits not in _MIDDLES:
            raise OptionsError(f"{self.bits!r:.20} is not a number of bits of a code; legal are {', '.join(map(str, _MIDDLES))}")

    @property
    def bits_a_weight(self) -> float:
        """Bits that a weight takes in the file, scale and minimum included."""
        return self.bits + (16 if self.symmetric else 32) / BLOCK


@dataclass(frozen=True)
class HalfFormat:
    """Matrices are stored as float16 numbers."""

    bits_a_weight = 16.0


WeightFormat = BlockFormat | HalfFormat


def quantize(values: FloatArray, form: BlockFormat) -> BlockWeights:
    """Return a matrix [out, in] in blocks.

    Raises:
        ExportError: rows that are not whole blocks, or values that are not finite.
    """
    if values.shape[1] % BLOCK:
        raise ExportError(f"a matrix has rows of {values.shape[1]} weights; whole blocks of {BLOCK} are wanted, choose another model")
    if not np.isfinite(values).all():
        raise ExportError("a matrix holds values that are not finite: the checkpoint is damaged, or its type too narrow; fetch it again")
    blocks = values.reshape(len(values), -1, BLOCK)
    parts = [_quantize_rows(blocks[start : start + _ROWS], form) for start in range(0, len(blocks), _ROWS)]
    codes, scales, minimums = (np.concatenate(part) for part in zip(*parts, strict=True))
    return BlockWeights(bits=form.bits, codes=codes, scales=scales, minimums=None if form.symmetric else minimums)


def _quantize_rows(blocks: FloatArray, form: BlockFormat) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Blocks [rows, blocks, 32] -> codes uint8 of that shape, scales and minimums float16 [rows, blocks]."""
    best: list[FloatArray] | None = None
    for share in _RANGES:
        scales, minimums = _range(blocks, form, share)
        codes = _codes(blocks, scales, minimums, form)
        scales, minimums = _fitted(blocks, codes, form) if form.bits == 4 else (scales, minimums)
        codes = _codes(blocks, scales, minimums, form)
        error = np.square(scales[..., None] * codes + minimums[..., None] - blocks).sum(-1)
        if best is None:
            best = [codes, scales, minimums, error]
        else:
            better = error < best[3]
            best = [
                np.where(better[..., None] if new.ndim == 3 else better, new, old)
                for new, old in zip((codes, scales, minimums, error), best, strict=True)
            ]
        if form.bits == 8:
            break
    assert best is not None
    return best[0].astype(np.uint8), best[1].astype(np.float16), best[2].astype(np.float16)


def _range(blocks: FloatArray, form: BlockFormat, share: float) -> tuple[FloatArray, FloatArray]:
    """Scales and minimums, in float16's values, so that codes cover `share` of each block's range."""
    if form.symmetric:
        largest = np.take_along_axis(blocks, np.abs(blocks).argmax(-1)[..., None], -1)[..., 0]
        # the code of the largest value is the lowest one, which has no opposite
        scales = _half(share * largest / -_MIDDLES[form.bits] if form.bits == 4 else np.abs(largest) / (_MIDDLES[8] - 1))
        return scales, -_MIDDLES[form.bits] * scales
    low, high = blocks.min(-1), blocks.max(-1)
    middle, half_range = (low + high) / 2, share * (high - low) / 2
    return _half(2 * half_range / np.float32(2**form.bits - 1)), _half(middle - half_range)


def _codes(blocks: FloatArray, scales: FloatArray, minimums: FloatArray, form: BlockFormat) -> FloatArray:
    safe = np.where(scales == 0, 1, scales)[..., None]
    return np.clip(np.rint((blocks - minimums[..., None]) / safe), 0, 2**form.bits - 1).astype(np.float32)


def _fitted(blocks: FloatArray, codes: FloatArray, form: BlockFormat) -> tuple[FloatArray, FloatArray]:
    """The scales and minimums that give these codes the smallest squared error."""
    if form.symmetric:
        centred = codes - _MIDDLES[form.bits]
        scales = _half((centred * blocks).sum(-1) / np.maximum(np.square(centred).sum(-1), 1))
        return scales, -_MIDDLES[form.bits] * scales
    code_mean, mean = codes.mean(-1), blocks.mean(-1)
    spread = np.square(codes - code_mean[..., None]).sum(-1)
    slope = ((codes - code_mean[..., None]) * blocks).sum(-1) / np.where(spread == 0, 1, spread)
    scales = _half(slope)
    return scales, _half(mean - scales * code_mean)


def _half(values: npt.NDArray[np.floating]) -> FloatArray:
    return values.astype(np.float16).astype(np.float32)
