"""Plots of a live run. Knows records and summaries; does not know where they go."""

from collections.abc import Callable, Sequence
from itertools import groupby

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from redvillm.benchmarks.drawing import look, new_figure
from redvillm.benchmarks.live_records import AnswerRecord, LiveRecord, Sample
from redvillm.benchmarks.live_summary import Rate, rates
from redvillm.benchmarks.palette import MUTED, SERIES

_DISTRIBUTIONS = (("ttft_ms", "asking to first token (TTFT)"), ("frame_to_first_token_ms", "newest frame used to first token"))
_MARKERS = ("o", "D", "s", "^")


def plots_of(record: LiveRecord, names: Sequence[str]) -> dict[str, Figure]:
    """Return every plot by its name, of the variants `names`; a run without answers has no latencies."""
    with look():
        return _draw(record, names)


def _draw(record: LiveRecord, names: Sequence[str]) -> dict[str, Figure]:
    found: dict[str, Figure] = {}
    if any(_is_counted(answer) for answer in record.answers):
        found["latency-distribution"] = _distributions(record, names)
        found["latency-over-time"] = _latencies(record, names)
        found["since-opening"] = _since_opening(record, names)
    frames = (lambda rate: rate.used_fps, lambda rate: rate.captured_fps)
    found["frames"] = _over_time(record, names, "frames per second: used (line), captured (dots)", frames)
    found["processor"] = _over_time(record, names, "processor cores used", (lambda rate: rate.cpu_cores,))
    found["memory"] = _memory(record, names)
    return found


def _is_counted(answer: AnswerRecord) -> bool:
    return answer.error is None and not answer.is_warmup


def _distributions(record: LiveRecord, names: Sequence[str]) -> Figure:
    figure, plots = new_figure(columns=2, share_y=True)
    for axes, (key, title) in zip(plots, _DISTRIBUTIONS, strict=True):
        for variant, name in enumerate(names):
            answers = (answer for answer in record.answers if answer.variant == variant and _is_counted(answer))
            values = np.sort([answer.latencies_ms[key] for answer in answers if key in answer.latencies_ms])
            if values.size:
                shares = np.arange(1, values.size + 1) / values.size * 100
                axes.step(np.r_[values[0], values], np.r_[0, shares], where="post", color=SERIES[variant], label=name)
        axes.set(title=title, xlabel="milliseconds", ylim=(0, 102))
        axes.set_xlim(left=0)
        axes.set_yticks([0, 25, 50, 75, 95])
    plots[0].set_ylabel("% of answers within")
    _legend(plots[0], wanted=len(names) > 1, above=False)
    return figure


def _latencies(record: LiveRecord, names: Sequence[str]) -> Figure:
    figure, (axes,) = new_figure()
    for variant, name in enumerate(names):
        answers = [answer for answer in record.answers if answer.variant == variant and _is_counted(answer)]
        times_s, values = [answer.time_s for answer in answers], [answer.latencies_ms["ttft_ms"] for answer in answers]
        axes.plot(times_s, values, _MARKERS[variant % 4], markersize=4, color=SERIES[variant], label=name, alpha=0.85, markeredgewidth=0)
    _time_axis(axes, record.samples)
    axes.set(title="TTFT of each answer, milliseconds")
    axes.set_ylim(bottom=0)
    _legend(axes, wanted=len(names) > 1)
    return figure


def _since_opening(record: LiveRecord, names: Sequence[str]) -> Figure:
    """Draw tokens, memory and TTFT over the age of the stream, one segment of a variant over the other; warm-up included, since streams grow then."""
    figure, (tokens, memory, ttft) = new_figure(columns=3)
    for segment, group in groupby(record.samples, lambda sample: sample.segment):
        samples = list(group)
        start_s, variant = samples[0].time_s, samples[0].variant
        label = names[variant] if segment == variant else "_nolegend_"
        answers = [answer for answer in record.answers if answer.segment == segment and answer.error is None]
        ages_s = [answer.time_s - start_s for answer in answers]
        colour = SERIES[variant]
        tokens.step(ages_s, [answer.num_visual_tokens for answer in answers], where="post", color=colour, label=label)
        memory.plot([sample.time_s - start_s for sample in samples], [sample.rss_mb for sample in samples], color=colour, label=label)
        ttfts_ms = [answer.latencies_ms["ttft_ms"] for answer in answers]
        ttft.plot(ages_s, ttfts_ms, _MARKERS[variant % 4], markersize=3, markeredgewidth=0, color=colour)
    for axes, title in ((tokens, "visual tokens"), (memory, "resident memory, MB"), (ttft, "TTFT, milliseconds")):
        axes.set(title=title, xlabel="seconds since the stream was opened")
        axes.set_xlim(left=0)
        axes.set_ylim(bottom=0)
    _legend(memory, wanted=len(names) > 1, above=False)
    return figure


def _over_time(record: LiveRecord, names: Sequence[str], title: str, lines: Sequence[Callable[[Rate], float]]) -> Figure:
    """Draw rates over time: of each variant in its colour, the first of `lines` as a line, the second as dots."""
    figure, (axes,) = new_figure(height=2.4)
    for _, group in groupby(record.samples, lambda sample: sample.segment):
        samples = list(group)
        found = rates(samples)
        times_s, colour = [rate.time_s for rate in found], SERIES[samples[0].variant]
        is_first = samples[0].segment == samples[0].variant
        for index, (value, style) in enumerate(zip(lines, ("-", ":"), strict=False)):
            label = names[samples[0].variant] if is_first and index == 0 else "_nolegend_"
            axes.plot(times_s, [value(rate) for rate in found], style, color=colour, label=label)
    _time_axis(axes, record.samples)
    axes.set(title=title)
    axes.set_ylim(bottom=0)
    _legend(axes, wanted=len(names) > 1)
    return figure


def _memory(record: LiveRecord, names: Sequence[str]) -> Figure:
    figure, (axes, counts) = new_figure(columns=2, height=2.4)
    for _, group in groupby(record.samples, lambda sample: sample.segment):
        samples = list(group)
        times_s, colour = [sample.time_s for sample in samples], SERIES[samples[0].variant]
        is_first = samples[0].segment == samples[0].variant
        axes.plot(times_s, [sample.rss_mb for sample in samples], color=colour, label=names[samples[0].variant] if is_first else "_nolegend_")
        for values, style in (([sample.num_threads for sample in samples], "-"), ([sample.num_descriptors for sample in samples], ":")):
            counts.plot(times_s, values, style, color=colour)
    for plot in (axes, counts):
        _time_axis(plot, record.samples)
        plot.set_ylim(bottom=0)
    axes.set(title="resident memory, MB")
    counts.set(title="threads (line), file descriptors (dots)")
    _legend(axes, wanted=len(names) > 1, above=False)
    return figure


def _time_axis(axes: Axes, samples: Sequence[Sample]) -> None:
    """Count minutes where seconds would be many, and shade the warm-up."""
    length_s = samples[-1].time_s if samples else 0.0
    in_minutes = length_s > 300
    axes.set_xlim(0, max(length_s, 1e-3))
    axes.set_xlabel("minutes" if in_minutes else "seconds")
    if in_minutes:
        axes.xaxis.set_major_formatter(lambda value, _: f"{value / 60:g}")
        step_s = 60 * max(1, round(length_s / 60 / 8))
        axes.set_xticks(np.arange(0, length_s + 1, step_s))
    for _, group in groupby(samples, lambda sample: sample.segment):
        warm = [sample.time_s for sample in group if sample.is_warmup]
        if warm:
            axes.axvspan(warm[0], warm[-1], color=MUTED, alpha=0.12, linewidth=0)


def _legend(axes: Axes, *, wanted: bool, above: bool = True) -> None:
    """Name the lines above the plot, at its right end, where they hide nothing; or in the lower right corner."""
    if wanted and above:
        axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=4, fontsize=8, borderaxespad=0.2)
    elif wanted:
        axes.legend(loc="lower right", fontsize=8)
