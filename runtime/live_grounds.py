"""What a live question rests on when its turn comes: the newest snapshot, aligned, with its evidence.

Runs in the language thread. Knows the perception and the alignment; does not know the language model.
"""

import time
from collections.abc import Callable

from redvillm.errors import RedvillmError, SourceError, SourceLostError, StreamClosedError
from redvillm.runtime.capture import CaptureThread
from redvillm.runtime.drops import FrameLedger
from redvillm.runtime.encoder import Aligner
from redvillm.runtime.evidence import Evidence, Grounds, VisualPrefix
from redvillm.runtime.health import HealthReport, SourceHealth, SourceState
from redvillm.runtime.perception import PerceptionThread
from redvillm.runtime.stream_options import StreamOptions
from redvillm.runtime.timings import PerceptionTimings, Stopwatch
from redvillm.runtime.window import Snapshot

_STALL_S = 2.0


class LiveGrounds:
    """Finds the grounds of live questions. A snapshot that is asked about twice is aligned once and gives the same prefix."""

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
        self._aligned: tuple[int, VisualPrefix] | None = None

    def report(self, now_s: float) -> HealthReport:
        """Return the state of the source at `now_s`; one that runs and has been silent for a while is stalled."""
        report = self._health.report
        last_s = self._capture.last_frame_s
        silent_s = now_s - (self._start_s if last_s is None else last_s)
        if report.state is SourceState.RUNNING and silent_s > _STALL_S:
            return HealthReport(SourceState.STALLED, f"{self._source_name} has been silent for {silent_s:.0f} s")
        return report

    def find(self, give_up: Callable[[], bool]) -> Grounds:
        """Return the newest window, aligned; before the first frame, wait for it as long as `give_up()` is false.

        Raises:
            SourceError: no frame came (its subclass says why).
            StreamClosedError: the stream was closed, or the question given up.
        """
        snapshot = self._perception.wait_snapshot(self._options.first_frame_timeout_s, give_up)
        if snapshot is None:
            raise self._no_frame_error(give_up())
        stopwatch = Stopwatch()
        if self._aligned is None or self._aligned[0] != snapshot.version:
            with stopwatch.measure("align"):
                self._aligned = (snapshot.version, VisualPrefix(self._aligner.align(snapshot.pooled)))
        decode_ms, align_ms = self._capture.decode_ms, stopwatch.spent_ms("align")
        return Grounds(
            prefix=self._aligned[1],
            evidence=self._evidence(snapshot),
            timings=PerceptionTimings(
                decode_ms=decode_ms,
                preprocess_ms=snapshot.preprocess_ms,
                encode_ms=snapshot.encode_ms,
                pool_ms=snapshot.pool_ms,
                align_ms=align_ms,
                wall_ms=decode_ms + snapshot.preprocess_ms + snapshot.encode_ms + snapshot.pool_ms + align_ms,
            ),
            newest_frame_s=snapshot.captured_s[-1],
        )

    def _no_frame_error(self, given_up: bool) -> RedvillmError:
        report = self._health.report
        if given_up or report.state is SourceState.CLOSED:
            return StreamClosedError("the stream was closed before its first frame")
        if report.error is not None:
            return report.error
        if report.is_final:
            return SourceLostError(f"{self._source_name} ended before its first frame")
        return SourceError(f"{self._source_name} gave no frame within {self._options.first_frame_timeout_s:g} s ({report.message})")

    def _evidence(self, snapshot: Snapshot) -> Evidence:
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
            notes=() if is_running else (f"the source is {report.state}: {report.message}",),
        )
