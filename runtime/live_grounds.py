"""What a live question rests on when its turn comes: the snapshot in the cache if that is fresh enough, else the newest, aligned, with its evidence.

Runs in the language thread. Knows the perception and the alignment; does not know the language model.
"""

import time

import numpy as np
import numpy.typing as npt

from redvillm.errors import RedvillmError, SourceError, SourceLostError, StreamClosedError
from redvillm.runtime.capture import CaptureThread
from redvillm.runtime.drops import FrameLedger
from redvillm.runtime.encoder import Aligner
from redvillm.runtime.evidence import Evidence, Grounds, RememberedSpan, Turn, VisualPrefix
from redvillm.runtime.health import HealthReport, SourceHealth, SourceState
from redvillm.runtime.memory import Chunk
from redvillm.runtime.perception import PerceptionThread
from redvillm.runtime.stream_options import StreamOptions
from redvillm.runtime.timings import PerceptionTimings, Stopwatch
from redvillm.runtime.window import Snapshot

_STALL_S = 2.0


class LiveGrounds:
    """Finds the grounds of live questions, and what to prefill for those to come.

    A snapshot is aligned once and gives one prefix; a remembered chunk is aligned once and is one segment of every prefix that has it.

    All methods but `report` are called in the language thread.
    """

    def __init__(
        self,
        *,
        source_name: str,
        capture: CaptureThread,
        perception: PerceptionThread,
        ledger: FrameLedger,
        health: SourceHealth,
        aligner: Aligner,
        options: StreamOptions,
    ) -> None:
        self._source_name = source_name
        self._capture = capture
        self._perception = perception
        self._ledger = ledger
        self._health = health
        self._aligner = aligner
        self._options = options
        self._start_s = time.perf_counter()
        self._chunk_tokens: dict[Chunk, npt.NDArray[np.float32]] = {}
        self._aligned: tuple[Snapshot, VisualPrefix] | None = None
        self._loaded: tuple[Snapshot, VisualPrefix] | None = None

    def report(self, now_s: float) -> HealthReport:
        """Return the state of the source at `now_s`; one that runs and has been silent for a while is stalled."""
        report = self._health.report
        last_s = self._capture.last_frame_s
        silent_s = now_s - (self._start_s if last_s is None else last_s)
        if report.state is SourceState.RUNNING and silent_s > _STALL_S:
            return HealthReport(SourceState.STALLED, f"{self._source_name} has been silent for {silent_s:.0f} s")
        return report

    def is_newest(self, prefix: VisualPrefix | None) -> bool:
        """Whether the window has not changed since `prefix` was made; also before the first frame."""
        snapshot = self._perception.snapshot
        return snapshot is None or (self._aligned is not None and self._aligned[1] is prefix and self._aligned[0] is snapshot)

    def newest_prefix(self) -> VisualPrefix:
        """Return the visual prefix of the newest snapshot.

        Raises:
            BackendError: the alignment failed.
        """
        snapshot = self._perception.snapshot
        assert snapshot is not None
        return self._align(snapshot)

    def loaded(self, prefix: VisualPrefix) -> None:
        """Remember that `prefix`, the last one made, lies in the cache."""
        assert self._aligned is not None
        assert self._aligned[1] is prefix
        self._loaded = self._aligned

    def find(self, turn: Turn, max_evidence_age_ms: float) -> Grounds:
        """Return the window to answer from; before the first frame, wait for it as long as `turn.give_up()` is false.

        That is the one whose visual prefix is in the cache while it was confirmed at most `max_evidence_age_ms` ago and the source goes on, else the
        newest.

        Raises:
            SourceError: no frame came (its subclass says why).
            StreamClosedError: the stream was closed, or the question given up.
        """
        snapshot = self._perception.wait_snapshot(self._options.first_frame_timeout_s, turn.give_up)
        if snapshot is None:
            raise self._no_frame_error(turn.give_up())
        stopwatch = Stopwatch()
        if self._loaded is not None and turn.is_loaded(self._loaded[1]) and self._is_fresh(self._loaded[0], max_evidence_age_ms):
            snapshot, prefix = self._loaded
        else:
            with stopwatch.measure("align"):
                prefix = self._align(snapshot)
            self._loaded = (snapshot, prefix)
        decode_ms, align_ms = self._capture.decode_ms, stopwatch.spent_ms("align")
        return Grounds(
            prefix=prefix,
            evidence=self._evidence(snapshot, prefix),
            timings=PerceptionTimings(
                decode_ms=decode_ms,
                preprocess_ms=snapshot.preprocess_ms,
                encode_ms=snapshot.encode_ms,
                pool_ms=snapshot.pool_ms,
                align_ms=align_ms,
                wall_ms=decode_ms + snapshot.preprocess_ms + snapshot.encode_ms + snapshot.pool_ms + align_ms,
            ),
            newest_frame_s=snapshot.confirmation.seen_s,
        )

    def _is_fresh(self, snapshot: Snapshot, max_evidence_age_ms: float) -> bool:
        """Whether to answer from `snapshot` although there is a newer one; not at the end of a source, which is what is asked about then."""
        age_ms = (time.perf_counter() - snapshot.confirmation.seen_s) * 1e3
        return age_ms <= max_evidence_age_ms and not self._health.report.is_final

    def _align(self, snapshot: Snapshot) -> VisualPrefix:
        if self._aligned is None or self._aligned[0] is not snapshot:
            known = self._chunk_tokens
            self._chunk_tokens = {chunk: known[chunk] if chunk in known else self._aligner.align_spatial(chunk) for chunk in snapshot.remembered}
            self._aligned = (snapshot, VisualPrefix((*self._chunk_tokens.values(), self._aligner.align(snapshot.pooled))))
        return self._aligned[1]

    def _no_frame_error(self, given_up: bool) -> RedvillmError:
        report = self._health.report
        if given_up or report.state is SourceState.CLOSED:
            return StreamClosedError("the stream was closed before its first frame")
        if report.error is not None:
            return report.error
        if report.is_final:
            return SourceLostError(f"{self._source_name} ended before its first frame")
        return SourceError(f"{self._source_name} gave no frame within {self._options.first_frame_timeout_s:g} s ({report.message})")

    def _evidence(self, snapshot: Snapshot, prefix: VisualPrefix) -> Evidence:
        now_s = time.perf_counter()
        report = self.report(now_s)
        counts = self._ledger.counts()
        is_running = report.state is SourceState.RUNNING
        return Evidence(
            frames_used=snapshot.num_frames,
            frame_times_s=snapshot.clip_times_s,
            window_span_s=snapshot.captured_s[-1] - snapshot.captured_s[0],
            age_newest_ms=(now_s - snapshot.captured_s[-1]) * 1e3,
            age_oldest_ms=(now_s - snapshot.captured_s[0]) * 1e3,
            frames_captured=counts.captured,
            drops={reason.value: number for reason, number in counts.drops.items()},
            snapshot_version=snapshot.version,
            age_confirmed_ms=(now_s - snapshot.confirmation.seen_s) * 1e3,
            remembered=tuple(
                RememberedSpan(
                    age_oldest_ms=(now_s - chunk.captured_s[0]) * 1e3,
                    age_newest_ms=(now_s - chunk.captured_s[1]) * 1e3,
                    clip_times_s=chunk.clip_times_s,
                    num_frames=chunk.num_frames,
                    num_visual_tokens=len(tokens),
                )
                for chunk, tokens in zip(snapshot.remembered, prefix.segments, strict=False)  # the window's own tokens come last
            ),
            notes=() if is_running else (f"the source is {report.state}: {report.message}",),
        )
