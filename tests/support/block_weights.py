"""Random block-quantized weights, in plain order and in the tiles of the kernels, and what a linear layer on them gives in float64."""

from dataclasses import dataclass

import numpy as np

BLOCK, TILE = 32, 16


@dataclass(frozen=True)
class RandomWeights:
    """codes uint8 [N, K / 32, 32]; scales, minimums float16 [N, K / 32], minimums perhaps None."""

    bits: int
    codes: np.ndarray
    scales: np.ndarray
    minimums: np.ndarray | None

    def values(self) -> np.ndarray:
        """The matrix, float64 [N, K]."""
        scales = self.scales.astype(np.float64)
        minimums = scales * {4: -8, 8: -128}[self.bits] if self.minimums is None else self.minimums.astype(np.float64)
        return (self.codes * scales[..., None] + minimums[..., None]).reshape(len(self.codes), -1)

    def tiled(self) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Codes, scales and minimums as the kernels want them, written out one number at a time."""
        rows, blocks, _ = self.codes.shape
        tiles = -(-rows // TILE)
        codes = np.zeros((tiles, blocks, self.bits, TILE, 4), np.uint8)
        tiled_scales = np.zeros((tiles, blocks, TILE), np.float16)
        tiled_minimums = None if self.minimums is None else np.zeros_like(tiled_scales)
        for row in range(rows):
            place = row // TILE, slice(None), row % TILE
            tiled_scales[place] = self.scales[row]
            if tiled_minimums is not None:
                tiled_minimums[place] = self.minimums[row]
            for k in range(BLOCK):
                if self.bits == 8:
                    codes[row // TILE, :, k // 4, row % TILE, k % 4] = self.codes[row, :, k]
                else:
                    codes[row // TILE, :, k // 8, row % TILE, k % 4] |= self.codes[row, :, k] << (4 * (k // 4 % 2))
        return codes, tiled_scales, tiled_minimums


def random_weights(rows: int, columns: int, *, bits: int = 4, minimums: bool = True, seed: int = 0) -> RandomWeights:
    random = np.random.default_rng(seed)
    shape = rows, columns // BLOCK
    codes = random.integers(0, 1 << bits, (*shape, BLOCK), dtype=np.uint8)
    scales = random.uniform(0.001, 0.02, shape).astype(np.float16)
    return RandomWeights(bits, codes, scales, random.uniform(-0.2, 0.05, shape).astype(np.float16) if minimums else None)


def rounded(x: np.ndarray) -> np.ndarray:
    """x [S, K] as 8-bit codes times a float32 scale per token and block, in float64; the scale as the kernels take it."""
    blocks = x.astype(np.float32).reshape(len(x), -1, BLOCK)
    largest = np.abs(blocks).max(-1, keepdims=True)
    with np.errstate(divide="ignore"):
        inverse = np.where(largest > 0, np.float32(127) / largest, np.float32(0)).astype(np.float32)
    codes = np.rint(blocks * inverse)
    return (codes.astype(np.float64) * (largest / np.float32(127))).reshape(x.shape)


def normed(x: np.ndarray, weight: np.ndarray, epsilon: float) -> np.ndarray:
    """The root mean square norm in float64."""
    x = x.astype(np.float64)
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + epsilon) * weight


def silu_gate(x: np.ndarray) -> np.ndarray:
    gate, up = np.split(x, 2, axis=-1)
    return gate / (1 + np.exp(-gate)) * up
