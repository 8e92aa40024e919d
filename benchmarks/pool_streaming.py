"""A push into windows of many lengths beside pooling the window anew, and the drift of running sums. Knows no model and prints nothing."""

from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from redvillm.benchmarks.pool_engines import time_ms
from redvillm.kernels import ops
from redvillm.kernels.streaming import StreamingPool

NUM_SEGMENTS = 4


@dataclass(frozen=True)
class PushResult:
    """Medians for one window length, milliseconds. Both sides give temporal and spatial pooling and the frame energy."""

    num_frames: int
    num_patches: int
    width: int
    push_ms: float
    anew_ms: float
    memory_mb: float

    @property
    def ratio(self) -> float:
        """Return how many times faster a push is."""
        return self.anew_ms / self.push_ms


def measure_push(num_frames: int, num_patches: int, width: int, rounds: int) -> PushResult:
    """Time pushes into a full window, and pooling the same number of float16 frames anew, in turn."""
    window = StreamingPool(num_frames, num_patches, width, NUM_SEGMENTS)
    frames = np.random.default_rng(0).standard_normal((8, num_patches, width), dtype=np.float32)
    clip = np.resize(frames.astype(np.float16), (num_frames, num_patches, width))
    out = (np.empty((num_patches, width), np.float32), np.empty((num_frames, width), np.float32))
    energy = np.empty((num_frames - 1, num_patches), np.float32)

    def pool_anew() -> None:
        ops.spatio_temporal_pool(clip, out=out)
        ops.frame_energy(clip, out=energy)

    for number in range(num_frames):
        window.push(frames[number % 8])
    pushes, anew = [], []
    for _ in range(rounds):
        anew.append(time_ms(pool_anew))
        # More pushes than a cache holds frames of: the frame that leaves is found where a stream would find it.
        pushes += [time_ms(lambda frame=frame: window.push(frame)) for frame in np.concatenate([frames] * 2)]  # type: ignore[misc]
    sizes = (num_frames, num_patches, width)
    return PushResult(*sizes, float(np.median(pushes)), float(np.median(anew)), window.memory_bytes / 2**20)


@dataclass(frozen=True)
class Drift:
    """Worst relative error of the temporal pooling after so many pushes, by way of keeping the sums."""

    num_pushes: list[int]
    error: dict[str, list[float]]


def measure_drift(num_pushes: int, num_frames: int = 16, size: tuple[int, int] = (4, 64)) -> Drift:
    """Push frames of mixed magnitudes; compare with the float64 mean of the frames that each window holds, over its mean magnitude."""
    rng = np.random.default_rng(1)
    pool = StreamingPool(num_frames, *size, 0)
    narrow, wide = _RunningSum(num_frames, size, np.float16), _RunningSum(num_frames, size, np.float32)
    result = Drift([], {"float64 sums of float16 frames (redvillm)": [], "float32 sums of float16 frames": [], "float32 sums of float32 frames": []})
    checkpoints = set(np.unique(np.geomspace(num_frames, num_pushes, 33).astype(int)).tolist())
    for number in range(1, num_pushes + 1):
        frame = (rng.standard_normal(size) * 10.0 ** rng.uniform(-3, 3)).astype(np.float32)
        pool.push(frame)
        narrow.push(frame)
        wide.push(frame)
        if number in checkpoints:
            result.num_pushes.append(number)
            pooled = (pool.pooled().temporal_pooling, narrow.mean(), wide.mean())
            held = (narrow.frames, narrow.frames, wide.frames)
            for errors, mean, frames in zip(result.error.values(), pooled, held, strict=True):
                errors.append(_relative_error(mean, frames))
    return result


class _RunningSum:
    """The usual way: a ring of frames and a float32 sum that is added to and subtracted from."""

    def __init__(self, num_frames: int, size: tuple[int, int], dtype: type[np.floating]) -> None:
        self.frames: npt.NDArray[np.floating] = np.zeros((num_frames, *size), dtype)
        self._sum = np.zeros(size, np.float32)
        self._next = 0

    def push(self, frame: npt.NDArray[np.float32]) -> None:
        slot = self.frames[self._next]
        leaving = slot.astype(np.float32)
        slot[:] = frame
        self._sum += slot.astype(np.float32) - leaving
        self._next = (self._next + 1) % len(self.frames)

    def mean(self) -> npt.NDArray[np.float32]:
        return self._sum / np.float32(len(self.frames))


def _relative_error(mean: npt.NDArray[np.float32], frames: npt.NDArray[np.floating]) -> float:
    wide = frames.astype(np.float64)
    exact = wide.mean(axis=0)
    return float(np.abs(mean - exact.astype(np.float32)).max() / np.abs(wide).mean())


def as_record(result: PushResult) -> dict[str, float]:
    """Return all figures of a result, the ratio included."""
    return {**asdict(result), "ratio": result.ratio}
