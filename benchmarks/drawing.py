"""Figures of matplotlib in one look, and their two forms: a PNG file, and an SVG that takes its colours from the page.

Does not know what is drawn.
"""

import io
from contextlib import AbstractContextManager
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from redvillm.benchmarks.palette import DARK, GRID, INK, MUTED, SURFACE, variable_of
from redvillm.files import atomic_file

_LOOK = {
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.edgecolor": GRID,
    "axes.labelcolor": MUTED,
    "axes.titlecolor": INK,
    "axes.facecolor": "none",
    "axes.axisbelow": True,
    "grid.color": GRID,
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "legend.labelcolor": INK,
    "legend.frameon": False,
    "text.color": INK,
    "lines.linewidth": 1.6,
    "svg.fonttype": "none",
}


def look() -> AbstractContextManager[None]:
    """Draw in the look of redvillm inside this context."""
    context: AbstractContextManager[None] = mpl.rc_context(_LOOK)
    return context


def new_figure(*, columns: int = 1, height: float = 2.9, width: float = 9.5, share_y: bool = False) -> tuple[Figure, list[Axes]]:
    """Return an empty figure of `columns` plots side by side, sizes in inches; call it inside `look`."""
    figure = Figure(figsize=(width, height), layout="constrained")
    plots = list(figure.subplots(1, columns, squeeze=False, sharey=share_y)[0])
    for axes in plots:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(visible=True, axis="y", linewidth=0.7)
    return figure, plots


def write_png(figure: Figure, path: Path) -> None:
    """Write the figure on a light ground."""
    with mpl.rc_context(_LOOK), atomic_file(path) as temporary:
        figure.savefig(temporary, format="png", dpi=150, facecolor=SURFACE)


def inline_svg(figure: Figure, name: str) -> str:
    """Return an `<svg>` element for an HTML page that sets the variables of the palette; `name` keeps its identifiers apart from others."""
    text = io.StringIO()
    with mpl.rc_context({**_LOOK, "svg.hashsalt": name}):
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    for colour in DARK:
        svg = svg.replace(colour, f"var({variable_of(colour)})")
    return svg.replace("<svg ", f'<svg role="img" aria-label="{name}" ', 1)
