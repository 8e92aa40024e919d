"""The window: the last T frames as pooled streams, and what is remembered of those before, published as immutable snapshots.

Knows pooling and capture times; does not know sources, alignment or threads.
"""

import dataclasses
from collections import deque
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from redvillm.runtime.frame import Frame, Pixels
from redvillm.runtime.memory import Chunk, ChunkMemory
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


@dataclass(eq=False)
class Confirmation:
    """When the scene was last seen to look as the newest frame of a snapshot does; perception sets it, any thread reads it."""

    seen_s: float


@dataclass(frozen=True, eq=False)
class Snapshot:
    """The window at one moment; never changes, but for its confirmation.

    Attributes:
        version: counts the frames that entered the window, from 1; repeated ones too.
        pooled: the streams.
        captured_s: capture times of its frames, oldest first.
        clip_times_s: their places in the file, None where the source has none.
        preprocess_ms: spent on the newest frame that was encoded; likewise `encode_ms` and `pool_ms`.
        confirmation: when a frame was last seen to look the same as the newest.
        remembered: chunks of earlier frames, oldest first; the newest of them may overlap the window.
    """

    version: int
    pooled: PooledStreams
    captured_s: tuple[float, ...]
    clip_times_s: tuple[float, ...] | None
    preprocess_ms: float
    encode_ms: float
    pool_ms: float
    confirmation: Confirmation
    remembered: tuple[Chunk, ...] = ()

    @property
    def num_frames(self) -> int:
        """Frames in the window, 1 to T."""
        return len(self.captured_s)


class Window:
    """The last `num_frames` frames, and with a memory also those before, coarsely. One thread owns it."""

    def __init__(self, pool: WindowPool, num_frames: int, memory: ChunkMemory | None = None) -> None:
        """`pool` must hold `num_frames` frames; each full window without overlap enters `memory`."""
        self._pool = pool
        self._memory = memory
        self._num_frames = num_frames
        self._captured_s: deque[float] = deque(maxlen=num_frames)
        self._clip_times_s: deque[float | None] = deque(maxlen=num_frames)
        self._newest: tuple[Features, Snapshot] | None = None
        self._num_alike = 0

    def push(self, features: Features, frame: Frame, stopwatch: Stopwatch, *, is_alike: bool = False) -> Snapshot:
        """Enter one frame with its features, float32 [N, D]; return the new snapshot. `is_alike`: it looks the same as the one before."""
        with stopwatch.measure("pool"):
            pooled = self._enter(features, frame)
        self._num_alike = self._num_alike + 1 if is_alike else 1
        snapshot = Snapshot(
            preprocess_ms=stopwatch.spent_ms("preprocess"),
            encode_ms=stopwatch.spent_ms("encode"),
            pool_ms=stopwatch.spent_ms("pool"),
            **self._state(pooled, frame),
        )
        self._newest = (features, snapshot)
        return snapshot

    def repeat(self, frame: Frame) -> Snapshot | None:
        """Take notice of a frame that looks the same as the newest one.

        As long as an older frame in the window looks different, the features of the newest enter again, at the cost of pooling only: the window
        goes on with time as if the frame had been encoded. When all look the same nothing could change: the newest snapshot is confirmed, and None
        returned.
        """
        assert self._newest is not None
        features, newest = self._newest
        if self._num_alike >= self._num_frames:
            newest.confirmation.seen_s = frame.captured_s
            return None
        self._num_alike += 1
        snapshot = dataclasses.replace(newest, **self._state(self._enter(features, frame), frame))
        self._newest = (features, snapshot)
        return snapshot

    def _enter(self, features: Features, frame: Frame) -> PooledStreams:
        self._pool.push(features)
        self._captured_s.append(frame.captured_s)
        self._clip_times_s.append(frame.clip_time_s)
        return self._pool.pooled()

    def _state(self, pooled: PooledStreams, frame: Frame) -> dict[str, Any]:
        """What is new in the next snapshot."""
        version = 1 if self._newest is None else self._newest[1].version + 1
        times_s = tuple(time_s for time_s in self._clip_times_s if time_s is not None)
        clip_times_s = times_s if len(times_s) == len(self._captured_s) else None
        if self._memory is not None and version % self._num_frames == 0:
            self._memory.add(pooled, tuple(self._captured_s), clip_times_s)
        return {
            "version": version,
            "pooled": pooled,
            "captured_s": tuple(self._captured_s),
            "clip_times_s": clip_times_s,
            "confirmation": Confirmation(frame.captured_s),
            "remembered": () if self._memory is None else self._memory.chunks,
        }
