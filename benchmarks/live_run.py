"""Plays a source live and asks at the planned times, segment by segment, the variants in turn.

Knows streams through `Model.open` and `LiveStream.ask`; does not know what becomes of the records. Runs in the calling thread.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from redvillm.benchmarks.arrivals import arrival_times_s
from redvillm.benchmarks.live_records import LATENCIES, AnswerRecord, LiveRecord, Sample
from redvillm.benchmarks.live_requests import LiveBenchRequest, Variant
from redvillm.benchmarks.resources import ResourceMeter
from redvillm.errors import RedvillmError
from redvillm.runtime.answer import Answer
from redvillm.runtime.options import GenerationOptions
from redvillm.runtime.stream import LiveStream
from redvillm.runtime.stream_options import StreamOptions

_SAMPLE_S = 1.0
_TICK_S = 0.05  # answers are collected so often; their timings come from the runtime's own clock
_LAST_ANSWERS_S = 30.0


class Opener(Protocol):
    """The part of a Model that is needed."""

    def open(self, source: str, *, options: StreamOptions) -> LiveStream:
        """Open a live stream."""
        ...


@dataclass
class _Log:
    """What is written down, in the order of its happening; `start_s` on the clock of time.perf_counter."""

    start_s: float
    progress: Callable[[float], object]
    meter: ResourceMeter = field(default_factory=ResourceMeter)
    answers: list[AnswerRecord] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def run_length_s(request: LiveBenchRequest) -> float:
    """Return how long a run will take, about."""
    return len(request.variants) * (request.duration_s + request.segments_per_variant * request.warmup_s)


def run_live(model: Opener, request: LiveBenchRequest, progress: Callable[[float], object] = lambda _: None) -> LiveRecord:
    """Play all segments; `progress` is told about once a second how many seconds have passed.

    Raises:
        SourceError, BackendError: the source or the perception failed.
        QuestionError, ContextOverflowError: a question that cannot be asked.
    """
    log = _Log(time.perf_counter(), progress)
    for turn in range(request.segments_per_variant):
        for variant in range(len(request.variants)):
            _Segment(model, request, log, turn=turn, variant=variant).play()
    return LiveRecord(tuple(log.answers), tuple(log.samples), tuple(dict.fromkeys(log.notes)))


class _Segment:
    """One opening of the stream."""

    def __init__(self, model: Opener, request: LiveBenchRequest, log: _Log, *, turn: int, variant: int) -> None:
        self._model, self._request, self._log = model, request, log
        self._number, self._variant = turn * len(request.variants) + variant, variant
        self._length_s = request.warmup_s + request.duration_s / request.segments_per_variant
        self._due_s = arrival_times_s(request.arrivals, request.every_s, self._length_s, request.seed + turn)
        self._options = GenerationOptions(max_new_tokens=request.max_new_tokens)
        self._open: list[tuple[float, Answer]] = []
        self._num_asked = 0
        self._opened_s = 0.0

    def play(self) -> None:
        """Open the stream, ask and sample until the end of the segment, collect the last answers, close."""
        with self._model.open(self._request.source, options=stream_options(self._request, self._request.variants[self._variant])) as stream:
            self._opened_s = time.perf_counter()
            next_sample_s = 0.0
            while (now_s := self._now_s()) < self._length_s:
                if stream.wait_ended(0):
                    self._log.notes.append(f"the source ended {now_s:.1f} s after it was opened; the rest of its segment was not measured")
                    break
                if now_s >= next_sample_s:
                    self._sample(stream)
                    next_sample_s += _SAMPLE_S
                if self._due_s and now_s >= self._due_s[0]:
                    self._ask(stream, self._due_s.pop(0))
                    continue
                self._collect()
                due_s = min(next_sample_s, self._length_s, *self._due_s[:1])
                time.sleep(max(0.0, min(_TICK_S, due_s - self._now_s())))
            self._sample(stream)
            self._finish()
            if stream.error is not None:
                raise stream.error

    def _now_s(self) -> float:
        return time.perf_counter() - self._opened_s

    def _ask(self, stream: LiveStream, due_s: float) -> None:
        question = self._request.questions[self._num_asked % len(self._request.questions)]
        self._num_asked += 1
        try:
            self._open.append((due_s, stream.ask(question, options=self._options)))
        except RedvillmError as error:
            if self._num_asked == 1:  # nothing waits yet: the question itself is wrong
                raise
            self._write(due_s, error=str(error))

    def _collect(self) -> None:
        still_open = []
        for due_s, answer in self._open:
            if answer.is_done:
                self._write_answer(due_s, answer)
            else:
                still_open.append((due_s, answer))
        self._open = still_open

    def _finish(self) -> None:
        deadline_s = time.perf_counter() + _LAST_ANSWERS_S
        for due_s, answer in self._open:
            if not answer.wait(max(0.0, deadline_s - time.perf_counter())):
                answer.cancel(f"the answer was not complete {_LAST_ANSWERS_S:g} s after the end of its segment")
            self._write_answer(due_s, answer)
        self._open = []

    def _write_answer(self, due_s: float, answer: Answer) -> None:
        if answer.error is not None:
            self._write(due_s, error=str(answer.error))
            return
        timings, stats = answer.timings, answer.stats
        found = {key: getattr(timings, key, None) for key, _ in LATENCIES}
        found |= {key: getattr(answer.evidence, key) for key in ("age_newest_ms", "age_confirmed_ms")}
        self._log.answers.append(
            AnswerRecord(
                variant=self._variant,
                segment=self._number,
                time_s=self._opened_s + due_s - self._log.start_s,
                is_warmup=due_s < self._request.warmup_s,
                latencies_ms={key: value for key, value in found.items() if value is not None},
                prefix_reused=stats.prefix_reused,
                num_visual_tokens=stats.num_visual_tokens,
                num_new_tokens=stats.num_new_tokens,
            )
        )

    def _write(self, due_s: float, *, error: str) -> None:
        time_s, is_warmup = self._opened_s + due_s - self._log.start_s, due_s < self._request.warmup_s
        record = AnswerRecord(variant=self._variant, segment=self._number, time_s=time_s, is_warmup=is_warmup, error=error, latencies_ms={})
        self._log.answers.append(record)

    def _sample(self, stream: LiveStream) -> None:
        counts, resources, now_s = stream.status.counts, self._log.meter.read(), self._now_s()
        self._log.samples.append(
            Sample(
                variant=self._variant,
                segment=self._number,
                time_s=self._opened_s + now_s - self._log.start_s,
                is_warmup=now_s < self._request.warmup_s,
                rss_mb=resources.rss_mb,
                cpu_s=resources.cpu_s,
                all_cpu_s=resources.all_cpu_s,
                num_threads=resources.num_threads,
                num_descriptors=resources.num_descriptors,
                captured=counts.captured,
                used=counts.used,
                drops={reason.value: number for reason, number in counts.drops.items() if number},
            )
        )
        self._log.progress(time.perf_counter() - self._log.start_s)


def stream_options(request: LiveBenchRequest, variant: Variant) -> StreamOptions:
    """Return the options of a stream that is run as `variant`."""
    plain = {
        "rate_hz": request.rate_hz,
        "loop": True,
        "max_evidence_age_ms": request.max_evidence_age_s * 1e3,
        "window": request.window,
        "gate": request.gate,
        "speed": request.speed,
    }
    return StreamOptions(**{**plain, **variant.changes})
