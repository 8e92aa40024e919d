"""Colours of plots and reports, for light and dark. Knows colours only.

A plot is drawn once, in the light colours. Inside a report its SVG refers to the colours by name, so that the page chooses them.
"""

from types import MappingProxyType

SERIES = ("#2a78d6", "#eb6834", "#1baf7a", "#4a3aa7", "#eda100", "#e34948", "#008300")
INK, MUTED, GRID, SURFACE = "#0b0b0b", "#6f6d68", "#e1e0d9", "#fcfcfb"
DARK = MappingProxyType(
    {
        INK: "#f5f5f3",
        MUTED: "#a3a19a",
        GRID: "#33332f",
        SURFACE: "#1a1a19",
        **dict(zip(SERIES, ("#3987e5", "#d95926", "#199e70", "#9085e9", "#c98500", "#e66767", "#3fa03f"), strict=True)),
    }
)


def variable_of(colour: str) -> str:
    """Return the name of the CSS variable that stands for a colour of this palette."""
    return f"--c{colour.removeprefix('#')}"


def style_variables() -> str:
    """Return the CSS rules that set the variables, for light and dark."""
    light = "".join(f"{variable_of(colour)}:{colour};" for colour in DARK)
    dark = "".join(f"{variable_of(colour)}:{value};" for colour, value in DARK.items())
    return f":root{{{light}}}\n@media (prefers-color-scheme: dark){{:root{{{dark}}}}}"
