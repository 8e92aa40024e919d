"""The rotary tables of a cache whose positions have three parts: one row for each place in the cache, written as it fills.

Knows positions; does not know the decoder.
"""

import numpy as np
import numpy.typing as npt

from redvillm.manifest import RotarySpec, Tensors
from redvillm.rotary import rotary_tables, text_positions, visual_positions


class RotaryCache:
    """Tables of C places. What lies after the places in use is stale, and is written again before it is used."""

    def __init__(self, spec: RotarySpec, max_context_tokens: int, head_width: int) -> None:
        self._spec, self._head_width = spec, head_width
        self._positions = np.zeros((max_context_tokens, 3), dtype=np.int64)
        self._cosines, self._sines = np.zeros((2, max_context_tokens, head_width // 2), dtype=np.float32)

    def extended(self, start: int, end: int, window_start: int | None) -> dict[str, npt.NDArray[np.float32]]:
        """Write the places `start` to `end` and return the tables, by the names of the graph's inputs.

        Text goes on after the largest position so far. Visual tokens belong to the window whose first token lies at `window_start`.
        """
        if window_start is None:
            positions = text_positions(self._after(start), end - start)
        else:
            positions = visual_positions(self._spec, self._after(window_start), end - window_start)[start - window_start :]
        self._positions[start:end] = positions
        self._cosines[start:end], self._sines[start:end] = rotary_tables(self._spec, positions, self._head_width)
        return self.tables

    @property
    def tables(self) -> dict[str, npt.NDArray[np.float32]]:
        """The tables, float32 [C, head_width / 2], by the names of the graph's inputs; they change in place."""
        return {Tensors.ROTARY_COSINES: self._cosines, Tensors.ROTARY_SINES: self._sines}

    def copy(self, other: "RotaryCache", start: int, end: int) -> None:
        """Take over places of another cache."""
        for mine, theirs in ((self._positions, other._positions), (self._cosines, other._cosines), (self._sines, other._sines)):
            mine[start:end] = theirs[start:end]

    def _after(self, place: int) -> int:
        return int(self._positions[:place].max()) + 1 if place else 0
