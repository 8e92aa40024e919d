"""What a window remembers of frames that have left it: frozen chunks, few of them whatever the length of the stream.

A chunk holds the temporal pooling of consecutive frames and never changes, so that its visual tokens are made once and prefilled once. Knows pooling
and counts of frames; does not know threads or tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from redvillm.errors import OptionsError

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, eq=False)
class Chunk:
    """What is kept of consecutive frames; the arrays are read-only.

    Attributes:
        temporal_pooling: mean over the frames, float32 [N, D].
        spatial_pooling: mean over patches and frames, float32 [1, D].
        motion_energy: zeros, float32 [M, N]: the order within a chunk is not remembered.
        num_frames: frames that it stands for.
        captured_s: capture times of the first and the last.
        clip_times_s: their places in the file, None where the source has none.
    """

    temporal_pooling: FloatArray
    spatial_pooling: FloatArray
    motion_energy: FloatArray
    num_frames: int
    captured_s: tuple[float, float]
    clip_times_s: tuple[float, float] | None


class ChunkMemory:
    """At most `max_chunks` chunks, oldest first.

    One more halves their number: neighbours are merged, each time those two whose merging blurs least compared with their age, so that what is left
    covers horizons that grow as they go back (seconds, a minute, hours). Whoever prefills chunks in order then starts anew once in at least
    `max_chunks / 2` chunks. One thread owns it; the tuple it gives never changes.
    """

    def __init__(self, max_chunks: int) -> None:
        """Make an empty memory.

        Raises:
            OptionsError: fewer than two chunks.
        """
        if max_chunks < 2:
            raise OptionsError(f"a memory of {max_chunks} chunks cannot be; give 2 or more")
        self.max_chunks = max_chunks
        self.chunks: tuple[Chunk, ...] = ()

    def add(self, pooled: Any, captured_s: Sequence[float], clip_times_s: Sequence[float] | None) -> None:
        """Remember the pooled streams of frames with these times, oldest first."""
        chunk = Chunk(
            temporal_pooling=pooled.temporal_pooling,
            spatial_pooling=_over_patches(pooled.temporal_pooling),
            motion_energy=_read_only(np.zeros_like(pooled.motion_energy)),
            num_frames=len(captured_s),
            captured_s=(captured_s[0], captured_s[-1]),
            clip_times_s=None if clip_times_s is None else (clip_times_s[0], clip_times_s[-1]),
        )
        chunks = [*self.chunks, chunk]
        if len(chunks) > self.max_chunks:
            while len(chunks) > max(1, self.max_chunks // 2):
                index = _least_blurred(chunks)
                chunks[index : index + 2] = [merge(chunks[index], chunks[index + 1])]
        self.chunks = tuple(chunks)


def merge(older: Chunk, newer: Chunk) -> Chunk:
    """Return one chunk for two neighbours: the mean over the frames of both."""
    counts = [older.num_frames, newer.num_frames]
    temporal = np.average([older.temporal_pooling, newer.temporal_pooling], axis=0, weights=counts).astype(np.float32)
    clip_times_s = None
    if older.clip_times_s is not None and newer.clip_times_s is not None:
        clip_times_s = (older.clip_times_s[0], newer.clip_times_s[1])
    return Chunk(
        temporal_pooling=_read_only(temporal),
        spatial_pooling=_over_patches(temporal),
        motion_energy=newer.motion_energy,
        num_frames=sum(counts),
        captured_s=(older.captured_s[0], newer.captured_s[1]),
        clip_times_s=clip_times_s,
    )


def _over_patches(temporal_pooling: FloatArray) -> FloatArray:
    return _read_only(temporal_pooling.mean(axis=0, keepdims=True, dtype=np.float64).astype(np.float32))


def _read_only(array: FloatArray) -> FloatArray:
    array.flags.writeable = False
    return array


def _least_blurred(chunks: Sequence[Chunk]) -> int:
    """Return which chunk to merge with its successor: that for which the age of the pair's begin is the smallest multiple of that of its end.

    Ages are counted in frames, so that the same frames are remembered in the same way at any speed.
    """
    counts = np.array([chunk.num_frames for chunk in chunks], np.float64)
    ages = np.append(np.cumsum(counts[::-1])[::-1], 0.0) + counts[-1]  # of the begin of each chunk, and of the end of the last
    return int(np.argmin(ages[:-2] / ages[2:]))
