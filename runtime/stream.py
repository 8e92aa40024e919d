"""A live stream: a source that is watched all the time and can be asked at any time.

Puts the capture thread, the perception thread and the language thread together, and ends them. Knows all three; does not know graphs.
"""

import math
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from redvillm.errors import ContextOverflowError, OptionsError, RedvillmError, SourceNotFoundError, StreamClosedError
from redvillm.manifest import FitSpec
from redvillm.runtime.alert import Alert, AlertEvent, AlertOptions
from redvillm.runtime.answer import Answer
from redvillm.runtime.capture import CaptureThread
from redvillm.runtime.drops import FrameLedger
from redvillm.runtime.encoder import Aligner
from redvillm.runtime.frame import Frame
from redvillm.runtime.gate import Gate
from redvillm.runtime.health import SourceHealth, SourceState
from redvillm.runtime.language_worker import Ask, LanguageWorker
from redvillm.runtime.live_grounds import LiveGrounds
from redvillm.runtime.options import GenerationOptions
from redvillm.runtime.perception import PerceptionThread
from redvillm.runtime.sampler import RateSampler
from redvillm.runtime.slot import FrameSlot
from redvillm.runtime.source import Source
from redvillm.runtime.standing import StandingQuestion
from redvillm.runtime.stream_options import StreamOptions
from redvillm.runtime.stream_status import StreamStatus
from redvillm.runtime.trace_recorder import RecordingStatus, TraceRecorder
from redvillm.runtime.window import FrameEncoder, Snapshot, Window

_CLOSE_S = 1.0
_RESERVED_ANSWER_TOKENS = 64
_RESERVED_QUESTION = "what " * _RESERVED_ANSWER_TOKENS  # at least a token each


class LiveStream:
    """Made by `Model.open`; a context manager. Every method may be called from any thread."""

    def __init__(
        self,
        source: Source,
        options: StreamOptions,
        *,
        encoder: FrameEncoder,
        window: Window,
        gate: Gate,
        aligner: Aligner,
        worker: LanguageWorker,
        fit: FitSpec,
        max_frames: int,
    ) -> None:
        """Open the source and start watching.

        Raises:
            ContextOverflowError: window and memory leave no room for a question of 64 tokens and an answer of 64.
            OptionsError: a speed that the source does not have, or a recording over an existing file.
            StorageError: the recording cannot be written.
            SourceError: the source cannot be opened (its subclass says why).
            BackendError: no usable cv2.
        """
        self.options = options
        self._source_name = source.name
        self._aligner = aligner
        self._worker = worker
        self._max_visual_tokens = _max_visual_tokens(options, aligner, max_frames, worker)
        self._start_s = time.perf_counter()
        self._ledger = FrameLedger()
        self._health = SourceHealth()
        self._lock = threading.Lock()
        self._closed = False
        self._answers: list[Answer] = []
        self._standing: list[StandingQuestion] = []
        self._recorder = _recorder(options, source.name, self._ledger)
        slot = FrameSlot()
        by_wall = options.speed == "own"
        self._capture = CaptureThread(
            source,
            slot,
            self._ledger,
            self._health,
            give_up_after_s=options.give_up_after_s,
            sampler=None if by_wall else RateSampler(options.rate_hz),
            on_offer=_ignore if self._recorder is None else self._recorder.offer,
        )
        self._perception = PerceptionThread(
            slot,
            self._ledger,
            self._health,
            encoder=encoder,
            window=window,
            gate=gate,
            fit=fit,
            rate_hz=options.rate_hz if by_wall else math.inf,
            max_age_s=options.max_age_s if by_wall else math.inf,
            idle_rate_hz=options.idle_rate_hz if by_wall else math.inf,
            on_snapshot=worker.wake,
        )
        self._grounds = LiveGrounds(
            source_name=source.name,
            capture=self._capture,
            perception=self._perception,
            ledger=self._ledger,
            health=self._health,
            aligner=aligner,
            options=options,
        )
        # for a stream that is dropped without close, or lives when the program ends
        self._finalizer = weakref.finalize(self, _end_reading, self._capture, self._perception, self._recorder)
        self._capture.start()
        self._perception.start()
        self._require_opened()
        self._focus()

    def _require_opened(self) -> None:
        try:
            if not self._health.wait_opened(self.options.open_timeout_s + 1.0):
                raise self._health.report.error or SourceNotFoundError(
                    f"{self._source_name} did not open within {self.options.open_timeout_s:g} s; check it, or allow more time"
                )
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def ask(self, question: str, *, options: GenerationOptions | None = None, max_evidence_age_ms: float | None = None) -> Answer:
        """Ask about the newest frames.

        The answer rests on the window that lies in the language model's cache when the question's turn comes, while that was confirmed at most
        `max_evidence_age_ms` ago (None: as the stream's options say; 0: the newest window, always). Before the first frame the question waits for it,
        at most `first_frame_timeout_s`.

        Raises:
            QuestionError: empty, too long, not valid text, or too many questions wait already.
            ContextOverflowError: prompt and answer do not fit the decoder's context.
            StreamClosedError: the stream or its model was closed.
        """
        return self._put(Ask(question=question, options=options or GenerationOptions()), max_evidence_age_ms)

    def judge(self, question: str, *, max_evidence_age_ms: float | None = None) -> Answer:
        """Ask a question that yes or no answers: the answer is that word, and its `stats.yes_probability` the probability of yes beside no.

        Raises:
            As `ask`.
        """
        return self._put(Ask(question=question, options=GenerationOptions(max_new_tokens=1), is_judged=True), max_evidence_age_ms)

    def _put(self, ask: Ask, max_evidence_age_ms: float | None) -> Answer:
        asked_s = time.perf_counter()
        max_age_ms = self.options.max_evidence_age_ms if max_evidence_age_ms is None else max_evidence_age_ms
        if isinstance(max_age_ms, bool) or not isinstance(max_age_ms, int | float) or not max_age_ms >= 0:
            raise OptionsError(f"max_evidence_age_ms is {max_age_ms!r:.40}; give milliseconds from 0 on, or None")
        self._worker.check_fits(ask.question, self._max_visual_tokens, ask.options)
        with self._lock:
            if self._closed:
                raise StreamClosedError("the stream was closed; open it again to ask")
            answer = self._worker.submit(ask, lambda turn: self._grounds.find(turn, max_age_ms), asked_s=asked_s, wait=False)
            self._answers = [earlier for earlier in self._answers if not earlier.is_done]
            self._answers.append(answer)
        self._focus()
        return answer

    def _focus(self) -> None:
        if self.options.prefill_in_background:
            self._worker.focus(self._grounds, self.options.prefill_every_s)

    def ask_every(
        self,
        question: str,
        every_s: float,
        on_answer: Callable[[Answer], object] | None = None,
        *,
        options: GenerationOptions | None = None,
    ) -> StandingQuestion:
        """Ask again every `every_s` seconds, until stopped, closed, or once more after the source ended.

        Args:
            question: what to ask.
            every_s: seconds between the starts of answers; a late answer delays the next.
            on_answer: called in a thread of its own with each answer as it begins; what it raises is logged and kept.
            options: how to generate.

        Raises:
            As `ask`, and OptionsError for a bad `every_s`.
        """
        effective = options or GenerationOptions()

        def ask(draft: tuple[int, ...]) -> Answer:
            return self._put(Ask(question=question, options=effective, draft=draft), None)

        return self._stand(Ask(question=question, options=effective), every_s, on_answer, ask)

    def alert(
        self, question: str, every_s: float, on_event: Callable[[AlertEvent], object] | None = None, *, options: AlertOptions | None = None
    ) -> Alert:
        """Ask a yes/no question every `every_s` seconds, and tell when its answer changes for good.

        Args:
            question: one that yes or no answers.
            every_s: seconds between the starts of answers.
            on_event: called in a thread of its own with each event; what it raises is logged.
            options: thresholds, agreement and cooldown.

        Raises:
            As `ask_every`.
        """
        alert = Alert(question, options or AlertOptions(), on_event)
        judged = Ask(question=question, options=GenerationOptions(max_new_tokens=1), is_judged=True)
        alert.run_on(self._stand(judged, every_s, alert.take, lambda _: self._put(judged, None)))
        return alert

    def _stand(
        self, first: Ask, every_s: float, on_answer: Callable[[Answer], object] | None, ask: Callable[[tuple[int, ...]], Answer]
    ) -> StandingQuestion:
        self._worker.check_fits(first.question, self._max_visual_tokens, first.options)
        with self._lock:
            if self._closed:
                raise StreamClosedError("the stream was closed; open it again to ask")
            self._standing = [earlier for earlier in self._standing if not earlier.is_ended]
            standing = StandingQuestion(first.question, every_s, ask, on_answer, lambda: self._health.report.is_final)
            self._standing.append(standing)
        return standing

    @property
    def snapshot(self) -> Snapshot | None:
        """The newest snapshot of the window, None before the first frame."""
        return self._perception.snapshot

    @property
    def status(self) -> StreamStatus:
        """What the stream is doing now."""
        now_s = time.perf_counter()
        report = self._grounds.report(now_s)
        snapshot = self._perception.snapshot
        return StreamStatus(
            source=self._source_name,
            state=report.state,
            message=report.message,
            capture_fps=self._capture.meter.rate_hz(now_s),
            perception_fps=self._perception.meter.rate_hz(now_s),
            counts=self._ledger.counts(),
            window_frames=0 if snapshot is None else snapshot.num_frames,
            window_span_s=0.0 if snapshot is None else snapshot.captured_s[-1] - snapshot.captured_s[0],
            age_newest_ms=None if snapshot is None else (now_s - snapshot.captured_s[-1]) * 1e3,
            age_confirmed_ms=None if snapshot is None else (now_s - snapshot.confirmation.seen_s) * 1e3,
            num_remembered=0 if snapshot is None else len(snapshot.remembered),
            recording=self.recording,
            snapshot_version=0 if snapshot is None else snapshot.version,
            encode_ms=None if snapshot is None else snapshot.encode_ms,
            questions_waiting=self._worker.num_waiting,
            uptime_s=now_s - self._start_s,
        )

    @property
    def recording(self) -> RecordingStatus | None:
        """How far the recording is; None when none was asked for."""
        return None if self._recorder is None else self._recorder.status

    @property
    def error(self) -> RedvillmError | None:
        """What made the source or the perception fail; None while it goes on, after a regular end and after `close`."""
        return self._health.report.error

    def wait_ended(self, timeout_s: float | None = None) -> bool:
        """Wait until the window will not change any more (end, failure or close), at most `timeout_s`; return whether that came."""
        start_s = time.perf_counter()
        if not self._health.wait_final(timeout_s).is_final:
            return False
        left_s = None if timeout_s is None else max(0.0, timeout_s - (time.perf_counter() - start_s))
        return self._perception.join(left_s)  # the last frame may still be on its way into the window

    def close(self) -> None:
        """End all threads within about a second and fail unfinished answers; harmless when repeated.

        A capture thread that is stuck inside a driver or an iterator is left to end by itself; it holds nothing that others wait for.
        """
        with self._lock:
            self._closed = True
            answers, standing = self._answers, self._standing
            self._answers, self._standing = [], []
        self._health.set(SourceState.CLOSED, "closed")
        _stop_reading(self._capture, self._perception)
        self._worker.leave(self._grounds)
        for question in standing:
            question.stop()
        for answer in answers:
            answer.cancel()
        deadline_s = time.perf_counter() + _CLOSE_S
        threads: list[CaptureThread | PerceptionThread | StandingQuestion] = [self._perception, self._capture, *standing]
        for thread in threads:
            thread.join(max(0.0, deadline_s - time.perf_counter()))
        if self._recorder is not None:
            self._recorder.close()
        self._finalizer.detach()  # what has not ended by now is not waited for again


def _stop_reading(capture: CaptureThread, perception: PerceptionThread) -> None:
    capture.stop()
    perception.stop()


def _end_reading(capture: CaptureThread, perception: PerceptionThread, recorder: TraceRecorder | None) -> None:
    # a thread that is still inside a C++ library when the interpreter ends would abort the process
    _stop_reading(capture, perception)
    deadline_s = time.perf_counter() + _CLOSE_S
    for thread in (perception, capture):
        thread.join(max(0.0, deadline_s - time.perf_counter()))
    if recorder is not None:
        recorder.close()


def _ignore(_: Frame) -> None:
    """Record nothing."""


def _recorder(options: StreamOptions, source_name: str, ledger: FrameLedger) -> TraceRecorder | None:
    if options.record is None:
        return None
    path, by_clip_time = Path(options.record), options.speed == "max"
    return TraceRecorder(path, source_name=source_name, max_bytes=options.record_max_bytes, counts=ledger.counts, by_clip_time=by_clip_time)


def _max_visual_tokens(options: StreamOptions, aligner: Aligner, max_frames: int, worker: LanguageWorker) -> int:
    """Return how many visual tokens a question must leave room for, checked to leave room for a question and an answer."""
    live, chunk = aligner.num_visual_tokens(max_frames), aligner.num_spatial_tokens
    if options.window == "rolling":
        return live

    def fits(num_chunks: int) -> bool:
        try:
            worker.check_fits(_RESERVED_QUESTION, live + num_chunks * chunk, GenerationOptions(max_new_tokens=_RESERVED_ANSWER_TOKENS))
        except ContextOverflowError:
            return False
        return True

    if not fits(options.memory_chunks):
        most = next((number for number in range(options.memory_chunks - 1, 1, -1) if fits(number)), None)
        advice = "this model's context is too short for any; use window 'rolling'" if most is None else f"this model takes at most {most}"
        raise ContextOverflowError(
            f"memory_chunks is {options.memory_chunks}: so many chunks of {chunk} visual tokens and a window of {live} leave no room in the model's "
            f"context for a question and an answer of {_RESERVED_ANSWER_TOKENS} tokens; {advice}"
        )
    return live + options.memory_chunks * chunk
