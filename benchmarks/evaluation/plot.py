"""An evaluation as one picture: a bar for each kind of question, its interval, its baseline, and what the wrong video gives. Knows matplotlib."""

from pathlib import Path

from redvillm.benchmarks.drawing import look, new_figure, write_png
from redvillm.benchmarks.evaluation.evaluator import CONDITIONS
from redvillm.benchmarks.evaluation.summary import Evaluation
from redvillm.benchmarks.palette import INK, MUTED, SERIES

_MARKERS = ("D", "s", "^")


def write_plot(evaluation: Evaluation, path: Path) -> None:
    """Write a PNG; an evaluation of captions alone has nothing to draw."""
    rows = [row for row in evaluation.kinds if "own video" in row.shares]
    if not rows:
        return
    with look():
        figure, (axes,) = new_figure(width=8.0, height=0.42 * len(rows) + 1.3)
        own = [row.shares["own video"] for row in rows]
        places = range(len(rows))
        axes.barh(places, [100 * share.value for share in own], color=SERIES[0], height=0.6, label="own video, with its 95 % interval")
        below = [100 * max(0.0, share.value - share.low) for share in own]  # a share of none or all may lie a rounding outside of its interval
        above = [100 * max(0.0, share.high - share.value) for share in own]
        axes.errorbar([100 * share.value for share in own], places, xerr=(below, above), fmt="none", ecolor=INK, elinewidth=1, capsize=2)
        for number, condition in enumerate(CONDITIONS[1:]):
            points = [(100 * row.shares[condition].value, place) for place, row in zip(places, rows, strict=True) if condition in row.shares]
            if points:
                shares, heights = zip(*points, strict=True)
                axes.scatter(shares, heights, marker=_MARKERS[number], s=22, color=SERIES[number + 1], label=condition, zorder=3)
        baselines = [100 * row.baseline for row in rows]
        axes.scatter(baselines, places, marker="|", s=260, color=MUTED, label="best single answer", zorder=3)
        axes.set_yticks(places, [f"{row.kind} (n {share.count})" for row, share in zip(rows, own, strict=True)])
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.grid(visible=True, axis="x", linewidth=0.7)
        axes.set(xlim=(0, 101), xlabel="% right")
        figure.legend(loc="outside upper left", ncols=3, fontsize=8)
    write_png(figure, path)
