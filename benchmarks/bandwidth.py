"""Read bandwidth of the memory: the yardstick for decoding, which must read every weight for every token.

The native kernels read an array far larger than any cache and do as little with it as possible. Does not know decoders.
"""

import time
from dataclasses import dataclass

import numpy as np

from redvillm.kernels.backend import load_native

_ARRAY_BYTES = 1 << 28  # far more than any cache
_ROUNDS = 5
_STREAMS = (1, 4)  # readers of one thread in different places; which of them is faster depends on the machine


@dataclass(frozen=True)
class Bandwidth:
    """Bytes per second that `threads` threads read, the best of some rounds, and how that was measured."""

    bytes_per_s: float
    threads: int
    method: str


def measure_bandwidth(threads: int, *, array_bytes: int = _ARRAY_BYTES, rounds: int = _ROUNDS) -> Bandwidth:
    """Measure now, in about a third of a second; a round before those that count wakes the threads.

    Raises:
        BackendError: the native module is missing.
    """
    read = load_native().read_memory
    memory = np.ones(array_bytes // 4, dtype=np.float32)
    best_s = float("inf")
    for turn in range(rounds + 1):
        for streams in _STREAMS:
            start_s = time.perf_counter()
            read(memory, streams, threads)
            best_s = min(best_s, time.perf_counter() - start_s) if turn else best_s
    return Bandwidth(memory.nbytes / best_s, threads, "native reading kernel")
