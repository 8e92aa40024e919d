"""The window: the last T frames as pooled streams, published as immutable snapshots.

Knows pooling and capture times; does not know sources, alignment or threads.
"""

from collections import deque
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from redvillm.runtime.frame import Frame, Pixels
from redvillm.runtime.timings import Stopwatch

Features = npt.NDArray[np.float32]


class FrameEncoder(Protocol):
    """The vision encoder."""

    def encode(self, pixels: Pixels) -> Features:
        """Pixels uint8 [T, size, size, 3] RGB -> patch features X, float32 [T, N, D]."""


class PooledStreams(Protocol):
    """Pooled streams of one window; read-only arrays."""

    @property
    def temporal_pooling(self) -> npt.NDArray[Any]:
        """Mean over the frames, float32 [N, D]."""

    @property
    def spatial_pooling(self) -> npt.NDArray[Any]:
        """Mean over the patches, float32 [T, D]."""

    @property
    def motion_energy(self) -> npt.NDArray[Any]:
        """Change between frames, float32 [M, N]."""


class WindowPool(Protocol):
    """The streaming pool of redvillm.kernels."""

    def push(self, features: Features) -> None:
        """Enter the features of one frame, float32 [N, D]; the oldest leaves when the window is full."""

    def pooled(self) -> PooledStreams:
        """Return the pooled streams of the frames in the window."""


@dataclass(frozen=True, eq=False)
class Snapshot:
    """The window at one moment; never changes.

    Attributes:
        version: counts the frames that entered the window, from 1.
        pooled: the streams.
        captured_s: capture times of its frames, oldest first.
        clip_times_s: their places in the file, None where the source has none.
        preprocess_ms: spent on the newest frame; likewise `encode_ms` and `pool_ms`.
    """

    version: int
    pooled: PooledStreams
    captured_s: tuple[float, ...]
    clip_times_s: tuple[float, ...] | None
    preprocess_ms: float
    encode_ms: float
    pool_ms: float

    @property
    def num_frames(self) -> int:
        """Frames in the window, 1 to T."""
        return len(self.captured_s)


class Window:
    """The last `num_frames` frames. One thread owns it."""

    def __init__(self, pool: WindowPool, num_frames: int) -> None:
        """`pool` must hold `num_frames` frames."""
        self._pool = pool
        self._captured_s: deque[float] = deque(maxlen=num_frames)
        self._clip_times_s: deque[float | None] = deque(maxlen=num_frames)
        self._version = 0

    def push(self, features: Features, frame: Frame, stopwatch: Stopwatch) -> Snapshot:
        """Enter one frame with its features, float32 [N, D]; return the new snapshot."""
        with stopwatch.measure("pool"):
            self._pool.push(features)
            pooled = self._pool.pooled()
        self._captured_s.append(frame.captured_s)
        self._clip_times_s.append(frame.clip_time_s)
        self._version += 1
        clip_times_s = tuple(time_s for time_s in self._clip_times_s if time_s is not None)
        return Snapshot(
            version=self._version,
            pooled=pooled,
            captured_s=tuple(self._captured_s),
            clip_times_s=clip_times_s if len(clip_times_s) == len(self._captured_s) else None,
            preprocess_ms=stopwatch.spent_ms("preprocess"),
            encode_ms=stopwatch.spent_ms("encode"),
            pool_ms=stopwatch.spent_ms("pool"),
        )
