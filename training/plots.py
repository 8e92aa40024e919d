"""Pictures of a training run. Knows losses and matplotlib; does not know what was trained."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from redvillm.files import atomic_file


def plot_losses(losses: Sequence[float], path: Path, *, smooth_over: int = 25) -> None:
    """Write an SVG of the loss over the steps: each step, and the mean of `smooth_over` of them. The same losses give the same bytes."""
    with mpl.rc_context({"svg.hashsalt": "redvillm"}):
        figure = Figure(figsize=(7, 3.2), layout="constrained")
        axes = figure.subplots()
        steps = np.arange(1, len(losses) + 1)
        axes.plot(steps, losses, color="0.8", linewidth=0.8, label="each step")
        if len(losses) >= smooth_over:
            mean = np.convolve(losses, np.ones(smooth_over) / smooth_over, mode="valid")
            axes.plot(steps[smooth_over - 1 :], mean, color="tab:red", label=f"mean of {smooth_over} steps")
        axes.set(xlabel="step", ylabel="loss, nat per token", xlim=(0, len(losses) + 1))
        axes.legend(frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
        with atomic_file(path) as temporary:
            figure.savefig(temporary, format="svg", metadata={"Date": None})


def plot_held_out(measured: Sequence[tuple[int, Mapping[str, Sequence[float]]]], path: Path) -> None:
    """Write an SVG of the share of right answers to held-out questions over the steps, one line a kind of question (right share, loss, count)."""
    with mpl.rc_context({"svg.hashsalt": "redvillm"}):
        figure = Figure(figsize=(7, 4.2), layout="constrained")
        axes = figure.subplots()
        steps = [step for step, _ in measured]
        for number, kind in enumerate(measured[-1][1]):
            shares = [100 * figures[kind][0] if kind in figures else np.nan for _, figures in measured]
            axes.plot(steps, shares, label=kind, linewidth=1.2, marker=".", linestyle=("-", "--", ":")[number // 10 % 3])
        axes.set(xlabel="step", ylabel="right answers, %", ylim=(0, 102))
        axes.legend(frameon=False, fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
        axes.spines[["top", "right"]].set_visible(False)
        with atomic_file(path) as temporary:
            figure.savefig(temporary, format="svg", metadata={"Date": None})
