"""Rotary positions with three parts (M-RoPE, arXiv 2409.12191): where the tokens of a prompt lie in time, height and width.

A text token has the same position in all three. The spatial tokens of a window lie on a grid, as those of one image do; temporal tokens follow like
text. Export and runtime share this. Knows numbers only.
"""

import numpy as np
import numpy.typing as npt

from redvillm.manifest import RotarySpec

FloatArray = npt.NDArray[np.float32]
Positions = npt.NDArray[np.int64]  # [S, 3]: time, height, width


def text_positions(start: int, count: int) -> Positions:
    """Return the positions of text tokens, int64 [count, 3]."""
    return np.repeat(np.arange(start, start + count)[:, None], 3, axis=1)


def visual_positions(spec: RotarySpec, start: int, count: int) -> Positions:
    """Return the positions of the visual tokens of one window (or of its spatial tokens only), int64 [count, 3]."""
    num_spatial = min(count, spec.grid_rows * spec.grid_columns)
    places = np.arange(num_spatial)
    spatial = np.stack([np.zeros_like(places), places // spec.grid_columns, places % spec.grid_columns], axis=1) + start
    return np.concatenate([spatial, text_positions(start + max(spec.grid_rows, spec.grid_columns), count - num_spatial)])


def position_after(positions: Positions) -> int:
    """Return where text goes on."""
    return int(positions.max()) + 1


def rotary_tables(spec: RotarySpec, positions: Positions, head_width: int) -> tuple[FloatArray, FloatArray]:
    """Return cosines and sines, float32 [S, head_width / 2]: each frequency turns with one of the three parts."""
    frequencies = spec.base ** (-np.arange(0, head_width, 2) / head_width)
    part = np.repeat(np.arange(3), spec.sections)
    angles = positions[:, part] * frequencies
    return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
