"""The main colour of a thing, as far as captions agree on it. Knows words only."""

import re
from collections import Counter
from collections.abc import Sequence

# the names that people use for one colour of a coat count as one answer
_SAME = {"golden": "tan", "yellow": "tan", "blond": "tan", "blonde": "tan", "beige": "tan", "gray": "grey"}
_COLOURS = (
    "black",
    "white",
    "brown",
    "tan",
    "golden",
    "yellow",
    "beige",
    "blond",
    "blonde",
    "grey",
    "gray",
    "red",
    "blue",
    "green",
    "orange",
    "pink",
)
THINGS = ("dog", "shirt", "jacket", "ball", "hat", "dress", "car", "horse", "coat", "helmet", "boat", "bike")
_MIN_AGREEING = 2


def main_colour(thing: str, captions: Sequence[str]) -> str:
    """Return the colour that at least two captions give the thing while no caption gives it another; empty without such a one."""
    pattern = re.compile(rf"\b({'|'.join(_COLOURS)}) {thing}\b")
    found = Counter(colour for caption in captions for colour in {_plain(thing, match) for match in pattern.findall(caption.lower())})
    if len(found) != 1:
        return ""
    ((colour, count),) = found.items()
    return colour if count >= _MIN_AGREEING else ""


def names_of(thing: str, colour: str) -> tuple[str, ...]:
    """Return every name under which the colour of the thing is right."""
    return (colour, *sorted(name for name in _COLOURS if name != colour and _plain(thing, name) == colour))


def _plain(thing: str, colour: str) -> str:
    return _SAME.get(colour, colour) if thing == "dog" or colour == "gray" else colour
