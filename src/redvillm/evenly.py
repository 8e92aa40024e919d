"""Places that are spread evenly over a sequence, its first and last included. Knows numbers only."""

import numpy as np


def even_places(length: int, count: int) -> list[int]:
    """Return at most `count` different places of a sequence of `length`, in order."""
    places: list[int] = np.linspace(0, length - 1, min(count, length)).round().astype(int).tolist()
    return places
