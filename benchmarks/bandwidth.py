"""Read bandwidth of the memory: the yardstick for decoding, which must read every weight for every token.

`redvillm.kernels` offers a native yardstick where it is built with one (`kernels.bandwidth.measure_read_bandwidth`); numpy stands in for it
elsewhere, and reads less than the machine could: a share of its figure is too favourable. Does not know decoders.
"""

import importlib
import importlib.util
import threading
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_ARRAY_BYTES = 1 << 28  # far more than any cache
_ROUNDS = 5
_NATIVE = "redvillm.kernels.bandwidth"


@dataclass(frozen=True)
class Bandwidth:
    """Bytes per second that `threads` threads read, the best of some rounds, and how that was measured."""

    bytes_per_s: float
    threads: int
    method: str


def measure_bandwidth(threads: int, *, array_bytes: int = _ARRAY_BYTES, rounds: int = _ROUNDS) -> Bandwidth:
    """Measure now, in about half a second."""
    if importlib.util.find_spec(_NATIVE) is not None:
        native = importlib.import_module(_NATIVE)
        return Bandwidth(float(native.measure_read_bandwidth(threads)), threads, "redvillm.kernels")
    parts = np.array_split(np.ones(array_bytes // 8, dtype=np.int64), threads)
    best_s = min(_read_all(parts) for _ in range(rounds + 1))
    return Bandwidth(sum(part.nbytes for part in parts) / best_s, threads, "numpy, sum of int64")


def _read_all(parts: list[NDArray[np.int64]]) -> float:
    """Return the seconds in which all parts are read once, each by a thread of its own (numpy lets go of the interpreter while it sums)."""
    barrier = threading.Barrier(len(parts) + 1)

    def read(part: NDArray[np.int64]) -> None:
        barrier.wait()
        part.sum()
        barrier.wait()

    readers = [threading.Thread(target=read, args=(part,)) for part in parts]
    for reader in readers:
        reader.start()
    barrier.wait()
    start_s = time.perf_counter()
    barrier.wait()
    spent_s = time.perf_counter() - start_s
    for reader in readers:
        reader.join()
    return spent_s
