"""Pictures of a training run. Knows losses and matplotlib; does not know what was trained."""

from collections.abc import Sequence
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
