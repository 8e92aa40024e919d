"""Reading a clip for an offline question: evenly spread frames, fitted, in one sequential pass without seeking.

Skipped frames are grabbed and not converted. The clip's header is a plan, not the truth: the pass goes to the end and tells the
true extent. Knows files and sampling; does not know the encoder.
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redvillm.errors import SourceFormatError
from redvillm.manifest import FitSpec
from redvillm.runtime.frame import Frame, Pixels, check_pixels
from redvillm.runtime.opencv import DEFAULT_FRAMES_PER_S, Capture
from redvillm.runtime.preprocess import fit_frame
from redvillm.runtime.sampler import SpreadSampler, TimeSampler
from redvillm.runtime.source import SourceLimits, is_cut_short
from redvillm.runtime.source_file import open_clip
from redvillm.runtime.timings import Stopwatch
from redvillm.runtime.trace_capture import TraceCapture
from redvillm.runtime.trace_format import TRACE_SUFFIX


@dataclass(frozen=True, eq=False)
class SampledFrame:
    """A frame of the clip; `pixels` is fitted, uint8 [height, width, 3] RGB.

    `time_s` is its time in the clip, `decoded_s` when it was decoded (clock of `time.perf_counter`); None where the clip has no times.
    """

    index: int
    time_s: float | None
    decoded_s: float | None
    pixels: Pixels


@dataclass(frozen=True, kw_only=True)
class ClipExtent:
    """What a clip turned out to hold; `fault` says in words why reading ended early, where the file tells."""

    num_frames: int
    num_damaged: int
    last_frame_s: float
    duration_s: float
    declared_duration_s: float | None
    fault: str | None = None

    def is_cut_short(self) -> bool:
        """Whether clearly less was decoded than the header declares."""
        return is_cut_short(self.duration_s, self.declared_duration_s)


class ClipPass:
    """One pass over a file; iterate it to the end, then read `extent`."""

    extent: ClipExtent

    def __init__(self, path: Path, *, num_frames: int, fit: FitSpec, plan_duration_s: float | None, stopwatch: Stopwatch) -> None:
        """`plan_duration_s` None plans with the header's duration; a header without one gives no frames, only the extent."""
        self._path = path
        self._num_frames = num_frames
        self._fit = fit
        self._plan_duration_s = plan_duration_s
        self._stopwatch = stopwatch

    def __iter__(self) -> Iterator[SampledFrame]:
        """Yield the sampled frames in order.

        Raises:
            SourceNotFoundError, SourceFormatError: see `open_clip`; also when there is no frame at all.
            BackendError: no usable cv2.
        """
        with TraceCapture(self._path) if self._path.suffix == TRACE_SUFFIX else open_clip(self._path, SourceLimits()) as capture:
            self.plan_duration_s = self._plan_duration_s or capture.declared_duration_s
            yield from self._frames(capture)

    def _frames(self, capture: Capture | TraceCapture) -> Iterator[SampledFrame]:
        period_s = 1.0 / (capture.frames_per_s or DEFAULT_FRAMES_PER_S)
        num_wanted = self._num_frames if self.plan_duration_s else 0
        sampler = TimeSampler(duration_s=self.plan_duration_s or 0.0, num_frames=num_wanted, period_s=period_s)
        count, num_damaged, last_s = 0, 0, 0.0
        while (time_s := self._grab(capture)) is not None:
            last_s = time_s
            if sampler.is_due(time_s):
                sampled = self._sample(capture, count, time_s)
                if sampled is None:
                    num_damaged += 1
                else:
                    sampler.take(time_s)
                    yield sampled
            count += 1
        if count == 0:
            raise no_frame_error(self._path)
        self.extent = ClipExtent(
            num_frames=count,
            num_damaged=num_damaged,
            last_frame_s=last_s,
            duration_s=last_s + period_s,
            declared_duration_s=capture.declared_duration_s,
            fault=capture.fault,
        )

    def _grab(self, capture: Capture | TraceCapture) -> float | None:
        with self._stopwatch.measure("decode"):
            return capture.grab()

    def _sample(self, capture: Capture | TraceCapture, index: int, time_s: float) -> SampledFrame | None:
        with self._stopwatch.measure("decode"):
            pixels = capture.retrieve()
        if pixels is None:
            return None
        decoded_s = time.perf_counter()
        with self._stopwatch.measure("preprocess"):
            return SampledFrame(index, time_s, decoded_s, fit_frame(Frame(pixels, 0.0, time_s, is_bgr=True), self._fit))


def no_frame_error(path: Path) -> SourceFormatError:
    """Return the error for a file without one good frame."""
    return SourceFormatError(f"{path} holds no frame that can be read; it is empty or damaged. Check it with another player")


def plan_was_wrong(plan_duration_s: float | None, extent: ClipExtent, num_frames: int) -> bool:
    """Whether frames were sampled for another duration than the true one, by more than half a sampling step."""
    return plan_duration_s is None or abs(plan_duration_s - extent.duration_s) > extent.duration_s / (2 * num_frames)


def sample_frames(frames: Iterable[Any], *, num_frames: int, fit: FitSpec, stopwatch: Stopwatch) -> tuple[list[SampledFrame], int]:
    """Return evenly spread frames of an iterable of unknown length, and how many it gave.

    Raises:
        SourceFormatError: a frame that is not uint8 [height, width, 3], or no frame at all.
    """
    spread: SpreadSampler[Pixels] = SpreadSampler(num_frames)
    for value in frames:
        pixels = check_pixels(value)
        if not spread.wants_next():
            spread.skip()
            continue
        with stopwatch.measure("preprocess"):
            spread.keep(fit_frame(Frame(pixels, 0.0), fit))
    if not spread.count:
        raise SourceFormatError("the iterator gave no frame; give at least one, uint8 [height, width, 3], RGB")
    return [SampledFrame(index, None, None, pixels) for index, pixels in spread.chosen()], spread.count
