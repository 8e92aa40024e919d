from typing import Any

import numpy as np
import numpy.typing as npt

_Features = npt.NDArray[np.float32] | npt.NDArray[np.float16] | npt.NDArray[np.uint16]
_Float32 = npt.NDArray[np.float32]
_Float16 = npt.NDArray[np.float16]

MAX_THREADS: int

def supported_levels() -> list[str]: ...
def bfloat16_bits(tensor: Any) -> npt.NDArray[np.uint16]: ...
def read_memory(memory: _Float32, streams: int, threads: int) -> float: ...
def pool(x: _Features, weights: _Float32 | None, temporal: _Float32, spatial: _Float32, level: str | None = None, threads: int = 1) -> None: ...
def frame_energy(x: _Features, energy: _Float32, level: str | None = None, threads: int = 1) -> None: ...
def push(
    frame: _Features,
    slot: _Float16,
    *,
    oldest: _Float16 | None,
    previous: _Float16 | None,
    sums: npt.NDArray[np.float64],
    spatial: _Float32,
    energy: _Float32,
    level: str | None = None,
) -> bool: ...
