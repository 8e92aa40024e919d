"""Watching a clip offline: sample, encode, pool and align it, with decoding ahead of encoding.

A pass whose plan turned out wrong (a header that lies, a clip cut short) is repeated with the true duration; frames that both passes
share are encoded once. Knows clips and the encoder; does not know questions.
"""

import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from redvillm.errors import OptionsError
from redvillm.manifest import FitSpec
from redvillm.runtime.clip import ClipExtent, ClipPass, SampledFrame, no_frame_error, plan_was_wrong, sample_frames
from redvillm.runtime.evidence import Evidence, Grounds, VisualPrefix
from redvillm.runtime.prefetch import run_ahead
from redvillm.runtime.source import ADDRESS
from redvillm.runtime.timings import PerceptionTimings, Stopwatch
from redvillm.runtime.window import Features, FrameEncoder, PooledStreams

_BATCH_FRAMES = 4  # larger batches of the encoder gain nothing on a CPU


class ClipPool(Protocol):
    """Pools a whole clip."""

    def pool(self, features: Features) -> PooledStreams:
        """Patch features X, float32 [T, N, D] -> the pooled streams."""


class ClipAligner(Protocol):
    """Turns pooled streams into visual tokens."""

    def align(self, pooled: PooledStreams) -> npt.NDArray[np.float32]:
        """Pooled streams -> visual tokens, float32 [num_visual_tokens, H]."""


class Watcher:
    """Turns clips into grounds for questions. Keeps nothing between clips."""

    def __init__(self, encoder: FrameEncoder, aligner: ClipAligner, pool: ClipPool, fit: FitSpec) -> None:
        self._encoder = encoder
        self._aligner = aligner
        self._pool = pool
        self._fit = fit

    def watch(self, clip: str | os.PathLike[str] | Iterable[Any], num_frames: int) -> Grounds:
        """Watch a video file or a trace, or frames uint8 [height, width, 3] RGB, through at most `num_frames` evenly spread frames.

        Raises:
            SourceNotFoundError, SourceFormatError: not there, not a video, or without a frame.
            OptionsError: not a clip at all.
            BackendError: no usable cv2, or a failing graph.
        """
        start_s = time.perf_counter()
        stopwatch = Stopwatch()
        if isinstance(clip, str | os.PathLike):
            features, evidence, newest_s = self._watch_file(_clip_path(clip), num_frames, stopwatch)
        elif isinstance(clip, Iterable) and not isinstance(clip, bytes):
            features, evidence, newest_s = *self._watch_frames(clip, num_frames, stopwatch), None
        else:
            raise OptionsError(f"a {type(clip).__name__} is not a clip; give a path or an iterable of RGB frames (cameras: Model.open)")
        with stopwatch.measure("pool"):
            pooled = self._pool.pool(features)
        with stopwatch.measure("align"):
            prefix = VisualPrefix((self._aligner.align(pooled),))
        stages = {f"{stage}_ms": stopwatch.spent_ms(stage) for stage in ("decode", "preprocess", "encode", "pool", "align")}
        end_s = time.perf_counter()
        newest_ms = None if newest_s is None else (end_s - newest_s) * 1e3
        timings = PerceptionTimings(wall_ms=(end_s - start_s) * 1e3, newest_frame_ms=newest_ms, **stages)
        return Grounds(prefix=prefix, evidence=evidence, timings=timings)

    def _watch_file(self, path: Path, num_frames: int, stopwatch: Stopwatch) -> tuple[Features, Evidence, float | None]:
        known: dict[int, Features] = {}
        chosen, extent, planned_s = self._pass(path, num_frames, None, known, stopwatch)
        if plan_was_wrong(planned_s, extent, num_frames):
            chosen, extent, _ = self._pass(path, num_frames, extent.duration_s, known, stopwatch)
        if not chosen:  # a last frame that stays for long: none begins near the middle of the duration
            chosen, extent, _ = self._pass(path, num_frames, extent.last_frame_s, known, stopwatch)
        if not chosen:
            raise no_frame_error(path)
        times_s = tuple(frame.time_s for frame in chosen if frame.time_s is not None)
        evidence = Evidence(
            frames_used=len(chosen),
            frame_times_s=times_s,
            window_span_s=times_s[-1] - times_s[0],
            frames_captured=extent.num_frames,
            clip_duration_s=extent.duration_s,
            notes=_notes(extent),
        )
        return np.stack([known[frame.index] for frame in chosen]), evidence, chosen[-1].decoded_s

    def _pass(
        self, path: Path, num_frames: int, plan_duration_s: float | None, known: dict[int, Features], stopwatch: Stopwatch
    ) -> tuple[list[SampledFrame], ClipExtent, float | None]:
        frames = ClipPass(path, num_frames=num_frames, fit=self._fit, plan_duration_s=plan_duration_s, stopwatch=stopwatch)
        chosen: list[SampledFrame] = []
        ahead = run_ahead(frames, _BATCH_FRAMES)
        try:
            for batch in ahead:
                self._encode([frame for frame in batch if frame.index not in known], known, stopwatch)
                chosen += batch
        finally:
            ahead.close()
        return chosen, frames.extent, frames.plan_duration_s

    def _watch_frames(self, frames: Iterable[Any], num_frames: int, stopwatch: Stopwatch) -> tuple[Features, Evidence]:
        chosen, count = sample_frames(frames, num_frames=num_frames, fit=self._fit, stopwatch=stopwatch)
        known: dict[int, Features] = {}
        for first in range(0, len(chosen), _BATCH_FRAMES):
            self._encode(chosen[first : first + _BATCH_FRAMES], known, stopwatch)
        return np.stack([known[frame.index] for frame in chosen]), Evidence(frames_used=len(chosen), frames_captured=count)

    def _encode(self, frames: list[SampledFrame], known: dict[int, Features], stopwatch: Stopwatch) -> None:
        if frames:
            with stopwatch.measure("encode"):
                features = self._encoder.encode(np.stack([frame.pixels for frame in frames]))
            known.update({frame.index: row for frame, row in zip(frames, features, strict=True)})


def _clip_path(clip: str | os.PathLike[str]) -> Path:
    text = os.fspath(clip)
    if not isinstance(text, str) or not text or "\0" in text:
        raise OptionsError(f"{text!r:.80} is not the path of a clip; give a video file")
    if ADDRESS.match(text):
        raise OptionsError("an address is a live source: use 'redvillm live' or Model.open, or download the clip and ask about the file")
    return Path(text)


def _notes(extent: ClipExtent) -> tuple[str, ...]:
    notes = []
    if extent.fault is not None:
        notes.append(extent.fault)
    elif extent.is_cut_short():
        notes.append(
            f"the clip is cut short or damaged: {extent.num_frames} frames ({extent.duration_s:.1f} s) could be decoded "
            f"of {extent.declared_duration_s:.1f} s declared; the answer rests on those"
        )
    if extent.num_damaged:
        notes.append(f"{extent.num_damaged} damaged frame{'s were' if extent.num_damaged > 1 else ' was'} passed over")
    return tuple(notes)
