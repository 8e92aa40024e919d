"""Figures of a live run: percentiles, rates and peaks of each variant, warm-up excluded. Knows records; does not know how they look."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from redvillm.benchmarks.live_records import LATENCIES, AnswerRecord, LiveRecord, Sample
from redvillm.benchmarks.statistics import Summary, summarize


@dataclass(frozen=True, kw_only=True)
class VariantSummary:
    """Figures of one variant.

    Attributes:
        name: of the variant.
        measured_s: time between its first and last samples, over its segments.
        num_answers: complete answers.
        num_failed: answers that failed, or questions that were refused; `failures` says why, with how often.
        latencies_ms: by the keys of LATENCIES.
        reused_share: answers whose visual prefix was in the cache, 0 to 1; None without answers.
        num_visual_tokens: of the prompts.
        num_new_tokens: of the answers.
        captured_fps: frames per second that the source delivered.
        used_fps: frames per second that entered the window.
        drops_per_s: by reason.
        cpu_cores: processor seconds per second of the whole process.
        other_cpu_cores: the same of everything else on the machine, at least 0.
        peak_rss_mb: of the samples.
        max_threads: of the samples.
        max_descriptors: of the samples.
        segment_ttft_ms: p50 of TTFT in each of its segments, to see how much segments differ.
    """

    name: str
    measured_s: float
    num_answers: int
    num_failed: int
    failures: dict[str, int]
    latencies_ms: dict[str, Summary]
    reused_share: float | None
    num_visual_tokens: Summary | None
    num_new_tokens: Summary | None
    captured_fps: float
    used_fps: float
    drops_per_s: dict[str, float]
    cpu_cores: float
    other_cpu_cores: float
    peak_rss_mb: float
    max_threads: int
    max_descriptors: int
    segment_ttft_ms: list[float]


@dataclass(frozen=True)
class Rate:
    """What happened between two samples of one segment, per second; `time_s` is the middle."""

    time_s: float
    captured_fps: float
    used_fps: float
    cpu_cores: float


def summarize_variant(record: LiveRecord, variant: int, name: str) -> VariantSummary:
    """Return the figures of one variant."""
    counted = [answer for answer in record.answers if answer.variant == variant and not answer.is_warmup]
    complete = [answer for answer in counted if answer.error is None]
    failures = Counter(answer.error for answer in counted if answer.error is not None)
    samples = [sample for sample in record.samples if sample.variant == variant and not sample.is_warmup]
    segments = [list(group) for _, group in groupby(samples, lambda sample: sample.segment)]
    measured_s = sum(group[-1].time_s - group[0].time_s for group in segments)
    per_s = 1 / measured_s if measured_s > 0 else 0.0
    own_cpu_s = sum(group[-1].cpu_s - group[0].cpu_s for group in segments)
    all_cpu_s = sum(group[-1].all_cpu_s - group[0].all_cpu_s for group in segments)
    return VariantSummary(
        name=name,
        measured_s=measured_s,
        num_answers=len(complete),
        num_failed=sum(failures.values()),
        failures=dict(failures),
        latencies_ms=_latencies(complete),
        reused_share=sum(answer.prefix_reused for answer in complete) / len(complete) if complete else None,
        num_visual_tokens=summarize([answer.num_visual_tokens for answer in complete]) if complete else None,
        num_new_tokens=summarize([answer.num_new_tokens for answer in complete]) if complete else None,
        captured_fps=sum(group[-1].captured - group[0].captured for group in segments) * per_s,
        used_fps=sum(group[-1].used - group[0].used for group in segments) * per_s,
        drops_per_s={reason: number * per_s for reason, number in sorted(_drops(segments).items())},
        cpu_cores=own_cpu_s * per_s,
        other_cpu_cores=max(0.0, all_cpu_s - own_cpu_s) * per_s,
        peak_rss_mb=max((sample.rss_mb for sample in samples), default=0.0),
        max_threads=max((sample.num_threads for sample in samples), default=0),
        max_descriptors=max((sample.num_descriptors for sample in samples), default=0),
        segment_ttft_ms=_segment_medians(complete),
    )


def rates(samples: Sequence[Sample]) -> list[Rate]:
    """Return what happened between each two consecutive samples of one segment."""
    found = []
    for before, after in pairwise(samples):
        span_s = after.time_s - before.time_s
        if before.segment == after.segment and span_s > 0:
            used, captured, cpu = after.used - before.used, after.captured - before.captured, after.cpu_s - before.cpu_s
            found.append(Rate((before.time_s + after.time_s) / 2, captured / span_s, used / span_s, cpu / span_s))
    return found


def _latencies(answers: Sequence[AnswerRecord]) -> dict[str, Summary]:
    values = {key: [answer.latencies_ms[key] for answer in answers if key in answer.latencies_ms] for key, _ in LATENCIES}
    return {key: summarize(found) for key, found in values.items() if found}


def _drops(segments: Sequence[Sequence[Sample]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for group in segments:
        total.update(group[-1].drops)
        total.subtract(group[0].drops)
    return {reason: number for reason, number in total.items() if number}


def _segment_medians(answers: Sequence[AnswerRecord]) -> list[float]:
    groups = groupby(sorted(answers, key=lambda answer: answer.segment), lambda answer: answer.segment)
    return [summarize([answer.latencies_ms["ttft_ms"] for answer in group]).p50 for _, group in groups]
