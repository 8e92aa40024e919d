"""The verdict over a long run: does it grow, slow down or leak? Knows records and pass lines; does not know streams.

Pass lines, each with what it is for:
- memory: the median of the last tenth is at most 16 MB or 5 % (whichever is more) above that of the minute after the first. What is loaded lazily
  comes in the first minute; a leak of one small frame a second (150 kB) would add 500 MB in an hour.
- latency: p99 of TTFT in the last ten minutes is at most 1.5 times that of the first ten (shorter runs: the last and the first third), plus 20 ms.
  With a question every two seconds, p99 of ten minutes is the third worst of 300; it varies by some ten percent from one stretch to the next.
- threads, file descriptors: the last tenth holds no more than the minute after the first.
- answers: none failed, no question was refused.
- frames: every captured frame is used, dropped for a reason, or in flight: at most two are.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from redvillm.benchmarks.live_records import AnswerRecord, LiveRecord, Sample
from redvillm.benchmarks.statistics import summarize

_SETTLED_S = 60.0
_STRETCH_S = 600.0
_GROWTH_MB, _GROWTH_SHARE = 16.0, 0.05
_SLOWER_FACTOR, _SLOWER_MS = 1.5, 20.0
_IN_FLIGHT = 2


@dataclass(frozen=True)
class Check:
    """One pass line: what was found, in words, and whether it passes."""

    name: str
    found: str
    line: str
    passed: bool


@dataclass(frozen=True)
class Verdict:
    """All pass lines."""

    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether all pass."""
        return all(check.passed for check in self.checks)


def judge(record: LiveRecord, length_s: float) -> Verdict:
    """Judge a run of about `length_s` seconds; a check that has nothing to look at does not pass."""
    answers = [answer for answer in record.answers if not answer.is_warmup]
    checks = [_answers(answers), _latency(answers, length_s)]
    if not record.samples:
        return Verdict((*checks, Check("samples", "none was taken", "at least one", False)))
    early, late = _stretches(record.samples)
    return Verdict(
        (
            _memory(early, late),
            *checks,
            _count("threads", [sample.num_threads for sample in early], [sample.num_threads for sample in late]),
            _count("file descriptors", [sample.num_descriptors for sample in early], [sample.num_descriptors for sample in late]),
            _frames(record.samples),
        )
    )


def _stretches(samples: Sequence[Sample]) -> tuple[list[Sample], list[Sample]]:
    """Return the minute after the first, and the last tenth; of a run shorter than ten minutes, tenths take the place of minutes."""
    start_s, end_s = samples[0].time_s, samples[-1].time_s
    tenth_s = (end_s - start_s) / 10
    minute_s = min(_SETTLED_S, tenth_s)
    early = [sample for sample in samples if minute_s <= sample.time_s - start_s <= 2 * minute_s]
    late = [sample for sample in samples if sample.time_s >= end_s - tenth_s]
    return early or [samples[0]], late


def _memory(early: Sequence[Sample], late: Sequence[Sample]) -> Check:
    before_mb, after_mb = (float(np.median([sample.rss_mb for sample in stretch])) for stretch in (early, late))
    allowed_mb = max(_GROWTH_MB, _GROWTH_SHARE * before_mb)
    found = f"{before_mb:.0f} MB after the first minute, {after_mb:.0f} MB at the end: {after_mb - before_mb:+.1f} MB"
    return Check("memory", found, f"at most {allowed_mb:+.0f} MB", after_mb - before_mb <= allowed_mb)


def _latency(answers: Sequence[AnswerRecord], length_s: float) -> Check:
    stretch_s = min(_STRETCH_S, length_s / 3)
    timed = [(answer.time_s, answer.latencies_ms["ttft_ms"]) for answer in answers if answer.error is None]
    start_s, end_s = (timed[0][0], timed[-1][0]) if timed else (0.0, 0.0)
    first = [value for time_s, value in timed if time_s <= start_s + stretch_s]
    last = [value for time_s, value in timed if time_s >= end_s - stretch_s]
    name, line = "latency", f"at most {_SLOWER_FACTOR:g} times the first, plus {_SLOWER_MS:g} ms"
    if not timed:
        return Check(name, "there is no answer", line, False)
    before_ms, after_ms = summarize(first).p99, summarize(last).p99
    found = f"p99 of TTFT {before_ms:.0f} ms in the first {stretch_s / 60:.2g} min, {after_ms:.0f} ms in the last"
    return Check(name, found, line, after_ms <= before_ms * _SLOWER_FACTOR + _SLOWER_MS)


def _answers(answers: Sequence[AnswerRecord]) -> Check:
    failed = sum(answer.error is not None for answer in answers)
    return Check(
        "answers", f"{len(answers) - failed} complete, {failed} failed or refused", "some, and none failed", failed == 0 and len(answers) > 0
    )


def _count(name: str, early: Sequence[int], late: Sequence[int]) -> Check:
    return Check(name, f"{max(early)} after the first minute, {max(late)} at the end", "no more than after the first minute", max(late) <= max(early))


def _frames(samples: Sequence[Sample]) -> Check:
    worst = max(sample.captured - sample.used - sum(sample.drops.values()) for sample in samples)
    least = min(sample.captured - sample.used - sum(sample.drops.values()) for sample in samples)
    found = f"{samples[-1].captured} captured in the last segment, at most {worst} in flight"
    return Check("frames", found, f"0 to {_IN_FLIGHT} in flight", least >= 0 and worst <= _IN_FLIGHT)
