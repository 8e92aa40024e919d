"""The pictures of the pooling benchmark. Knows figures; does not know how they were measured."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.ticker import FixedLocator, NullLocator, ScalarFormatter

from redvillm.benchmarks.pool_engines import COMPILED, NUMPY, ORT_1, ORT_2, OWN_1, OWN_2, TORCH, CaseResult
from redvillm.benchmarks.pool_report import PoolReport
from redvillm.benchmarks.pool_streaming import Drift, PushResult

_COLOURS = {OWN_2: "#b3282d", OWN_1: "#e0777b", ORT_2: "#2b5c8a", ORT_1: "#7fa8cf", TORCH: "#d98e2b", COMPILED: "#f0c987", NUMPY: "#9a9a9a"}
_DTYPES = ("float32", "float16", "bfloat16")


def write_plots(report: PoolReport, folder: Path) -> list[Path]:
    """Write pool.png, pool.svg, streaming.png and streaming.svg into `folder`; return their paths."""
    plt.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "svg.hashsalt": "redvillm"})
    figures = {"pool": _pool_figure(report), "streaming": _streaming_figure(report)}
    paths = []
    for name, figure in figures.items():
        for suffix in ("png", "svg"):
            paths.append(folder / f"{name}.{suffix}")
            figure.savefig(paths[-1], dpi=150, metadata={"Date": None} if suffix == "svg" else None)
        plt.close(figure)
    return paths


def _pool_figure(report: PoolReport) -> Any:
    figure, panels = plt.subplots(1, 3, figsize=(12, 6.8), sharey=True, layout="constrained")
    for panel, dtype in zip(panels, _DTYPES, strict=True):
        _draw_rates(panel, [row for row in report.cases if row.case.dtype == dtype])
        panel.set_title(dtype)
        panel.set_xlabel("GB/s of features, each counted once")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5, frameon=False)
    figure.suptitle(f"Both means of X [T, N, D] in one pass: {report.machine.processor}, {report.machine.num_cores} cores", fontsize=11)
    return figure


def _draw_rates(panel: Any, rows: Sequence[CaseResult]) -> None:
    height = 0.8 / len(_COLOURS)
    for number, (engine, colour) in enumerate(_COLOURS.items()):
        present = [(place, row.gb_per_s(engine)) for place, row in enumerate(rows) if engine in row.median_ms]
        places = [place - 0.4 + height * (number + 0.5) for place, _ in present]
        panel.barh(places, [rate for _, rate in present], height * 0.92, color=colour, label=_engine_label(engine))
    for threads, style in ((1, ":"), (2, "-")):
        for place, row in enumerate(rows):
            rate = row.case.num_bytes / row.read_ms(threads) * 1e-6
            label = f"reading alone, {threads} thread{'s' if threads > 1 else ''}" if place == 0 else None
            panel.plot([rate, rate], [place - 0.42, place + 0.42], style, color="black", linewidth=1.2, label=label)
    panel.set_yticks(range(len(rows)), [f"{row.case.model}\n{' x '.join(map(str, row.case.shape))}" for row in rows])
    panel.set_ylim(len(rows) - 0.5, -0.5)
    panel.tick_params(axis="y", length=0)


def _engine_label(engine: str) -> str:
    name, _, threads = engine.replace("ORT", "ONNX-Runtime").partition(" ")
    name = name.replace("-", " ")
    return f"{name}, {threads} thread{'s' if threads == '2' else ''}" if threads else name


def _streaming_figure(report: PoolReport) -> Any:
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    _draw_pushes(left, report.pushes)
    _draw_drift(right, report.drift)
    return figure


def _draw_pushes(panel: Any, rows: Sequence[PushResult]) -> None:
    sizes = sorted({(row.num_patches, row.width) for row in rows})
    for size, colour in zip(sizes, ("#b3282d", "#2b5c8a"), strict=False):
        chosen = [row for row in rows if (row.num_patches, row.width) == size]
        lengths = [row.num_frames for row in chosen]
        panel.plot(lengths, [row.push_ms for row in chosen], "o-", color=colour, label=f"push, N {size[0]}, D {size[1]}")
        panel.plot(lengths, [row.anew_ms for row in chosen], "s--", color=colour, alpha=0.55, label="the window anew")
    panel.set(xscale="log", yscale="log", xlabel="frames in the window, T", ylabel="milliseconds", title="One frame more")
    panel.xaxis.set_major_locator(FixedLocator(sorted({row.num_frames for row in rows})))
    panel.xaxis.set_minor_locator(NullLocator())
    panel.xaxis.set_major_formatter(ScalarFormatter())
    panel.legend(frameon=False)


def _draw_drift(panel: Any, drift: Drift) -> None:
    floor = 1e-9
    for (name, errors), colour in zip(drift.error.items(), ("#b3282d", "#7fa8cf", "#2b5c8a"), strict=True):
        panel.plot(drift.num_pushes, [max(error, floor) for error in errors], color=colour, label=name, clip_on=False, linewidth=1.8)
    ticks = [floor, 1e-7, 1e-5, 1e-3, 1e-1]
    panel.set(xscale="log", yscale="log", xlabel="pushes", ylabel="worst error / mean magnitude", title="Drift of a window of 16 frames")
    panel.set_ylim(floor, 1)
    panel.set_yticks(ticks, ["0", *(f"$10^{{{exponent}}}$" for exponent in (-7, -5, -3, -1))])
    panel.yaxis.set_minor_locator(NullLocator())
    panel.legend(frameon=False)
