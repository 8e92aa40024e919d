"""The comparison as one picture: bars per engine. Knows figures and matplotlib."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes

from redvillm.benchmarks.drawing import look, new_figure, write_png
from redvillm.benchmarks.palette import INK, MUTED, SERIES
from redvillm.benchmarks.peers.report import LANGUAGE, VISION, Column, PeerFigures, PeersReport


def write_plot(report: PeersReport, path: Path) -> None:
    """Write a PNG: decoding, prefill and both times to a first token, and the vision encoder; engines without figures are left out."""
    panels = [(report.language, column) for column in LANGUAGE[:4] if report.language] + [(report.vision, VISION[0])] * bool(report.vision)
    if not panels:
        return
    most = max(len(engines) for engines, _ in panels)
    with look():
        figure, plots = new_figure(columns=len(panels), width=3.0 * len(panels) + 1.0, height=0.36 * most + 1.2)
        for index, (axes, (engines, column)) in enumerate(zip(plots, panels, strict=True)):
            _draw(axes, [engine for engine in engines if engine.reason is None], column, with_names=index == 0 or engines is report.vision)
    write_png(figure, path)


def _draw(axes: Axes, engines: Sequence[PeerFigures], column: Column, *, with_names: bool) -> None:
    values = [engine.figures[column.key].p50 for engine in engines]
    colours = [SERIES[0] if engine.name == "redvillm" else MUTED for engine in engines]
    bars = axes.barh(range(len(engines)), values, color=colours, height=0.62)
    axes.bar_label(bars, fmt=f"%.{column.digits}f", padding=3, fontsize=8, color=INK)
    axes.set(title=f"{column.head}\n({'more' if column.more_is_better else 'less'} is better)")
    axes.title.set_fontsize(8.5)
    axes.set_yticks(range(len(engines)), [engine.name for engine in engines] if with_names else [""] * len(engines))
    axes.invert_yaxis()
    axes.set_xlim(0, max(values, default=1.0) * 1.22)
    axes.set_xticks([])
    axes.grid(visible=False)
    axes.spines["bottom"].set_visible(False)
