"""Pooling of a live window: the newest T frames, updated by one frame at a time.

Knows patch features and their order; does not know times, cameras or what the pooled streams are for. One owner thread pushes;
what `pooled` returns may be read anywhere.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from redvillm.errors import OptionsError
from redvillm.kernels import reference
from redvillm.kernels.arrays import read_features
from redvillm.kernels.backend import Backend, choose_backend, load_native
from redvillm.kernels.checks import check_count
from redvillm.kernels.reference import FloatArray

MAX_WINDOW_FRAMES = 8192  # up to here a float64 sum of float16 values is exact


@dataclass(frozen=True)
class PooledWindow:
    """The pooled streams of t frames, 1 <= t <= T, oldest first. The arrays are read-only copies, float32."""

    temporal_pooling: FloatArray  # [N, D]
    spatial_pooling: FloatArray  # [t, D]
    motion_energy: FloatArray  # [M, N]


class StreamingPool:
    """A window of the newest T frames that keeps its pooled streams up to date; a push costs O(N D), whatever T is.

    Frames are rounded to float16 as they arrive, and all streams are those of the rounded frames. The sums over the window are
    exact, so what `pooled` returns depends on the frames in the window alone: there is no drift, however long the stream runs.
    Memory is (T + 1) N D float16 and N D float64 values, allocated once; the slot to spare lets a refused frame be undone.
    """

    def __init__(self, num_frames: int, num_patches: int, width: int, num_segments: int, *, backend: Backend | None = None) -> None:
        """Allocate a window.

        Args:
            num_frames: T, at most MAX_WINDOW_FRAMES.
            num_patches: N.
            width: D.
            num_segments: M, segments of time in the motion energy; 0 for none.
            backend: "native", "reference" or None, which means native.

        Raises:
            OptionsError: a size outside its limits, or an unknown backend.
            BackendError: the native module is missing.
        """
        check_count("num_frames", num_frames, 1, MAX_WINDOW_FRAMES)
        check_count("num_patches", num_patches, 1)
        check_count("width", width, 1)
        check_count("num_segments", num_segments, 0)
        self.num_frames = num_frames
        self.num_segments = num_segments
        self._push = load_native().push if choose_backend(backend) == "native" else reference.push
        self._num_slots = num_frames + 1
        self._frames = np.zeros((self._num_slots, num_patches, width), np.float16)
        self._spatial = np.zeros((self._num_slots, width), np.float32)
        self._energy = np.zeros((self._num_slots, num_patches), np.float32)
        self._sums = np.zeros((num_patches, width), np.float64)
        self._next_slot = 0
        self._length = 0

    def __len__(self) -> int:
        """Return how many frames the window holds, 0 .. T."""
        return self._length

    @property
    def memory_bytes(self) -> int:
        """Size of all buffers; it never changes."""
        return sum(array.nbytes for array in (self._frames, self._spatial, self._energy, self._sums))

    def push(self, features: Any) -> None:
        """Append a frame; at T frames, the oldest leaves. A refused frame leaves the window as it was.

        Args:
            features: patch features [N, D], C-contiguous: a numpy array, or anything with `__dlpack__` in the processor's memory, of float32,
                float16 or bfloat16. They are copied.

        Raises:
            OptionsError: another type, dtype, shape, layout or device, or a value that is not finite as float16 (|value| >= 65520).
        """
        features = read_features("features", features, self._sums.shape)
        slot = self._next_slot
        oldest = self._frames[self._oldest_slot()] if self._length == self.num_frames else None
        previous = self._frames[slot - 1] if self._length else None
        finite = self._push(
            features,
            self._frames[slot],
            oldest=oldest,
            previous=previous,
            sums=self._sums,
            spatial=self._spatial[slot],
            energy=self._energy[slot],
        )
        if not finite:
            self._rebuild_sums()
            raise OptionsError(
                "features hold a value that is not finite or has a magnitude of 65520 or more, which a window cannot keep; the frame was not "
                "taken: check the vision encoder's output"
            )
        self._next_slot = (slot + 1) % self._num_slots
        self._length = min(self._length + 1, self.num_frames)

    def reset(self) -> None:
        """Forget all frames; the buffers are kept."""
        self._next_slot = 0
        self._length = 0
        self._sums.fill(0.0)

    def pooled(self) -> PooledWindow:
        """Return the pooled streams of the frames present, as copies.

        Raises:
            OptionsError: the window is empty.
        """
        if not self._length:
            raise OptionsError("the window is empty; push a frame before asking for its pooled streams")
        slots = self._slots()
        pooled = PooledWindow(
            temporal_pooling=np.divide(self._sums, self._length).astype(np.float32),
            spatial_pooling=self._spatial[slots],
            motion_energy=reference.motion_energy(self._energy[slots[1:]], self.num_segments),
        )
        for array in (pooled.temporal_pooling, pooled.spatial_pooling, pooled.motion_energy):
            array.flags.writeable = False
        return pooled

    def _oldest_slot(self) -> int:
        return (self._next_slot - self._length) % self._num_slots

    def _slots(self) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
        return (self._oldest_slot() + np.arange(self._length)) % self._num_slots

    def _rebuild_sums(self) -> None:
        np.sum(self._frames[self._slots()], axis=0, dtype=np.float64, out=self._sums)
