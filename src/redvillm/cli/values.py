"""Argument types: text of the command line to a checked value, with the legal values in the message (usage errors, exit status 2)."""

import argparse
import math
import re
from collections.abc import Callable

_UNITS_S = {"ms": 0.001, "s": 1.0, "": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


def duration_s(text: str) -> float:
    """Parse `2s`, `500ms`, `1.5m`, `1h` or `2` (seconds) into seconds."""
    match = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)(ms|s|min|m|h|)", text.strip(), re.ASCII)
    value = float(match[1]) * _UNITS_S[match[2]] if match else 0.0
    if not 0 < value <= 1e7:
        raise argparse.ArgumentTypeError(f"{text!r:.40} is not a duration; write for example 2s, 500ms, 1.5m, 1h or 2 (seconds)")
    return value


def integer(smallest: int, largest: int) -> Callable[[str], int]:
    """Return a type for whole numbers from `smallest` to `largest`."""

    def parse(text: str) -> int:
        value = int(text) if re.fullmatch(r"-?\d{1,18}", text.strip(), re.ASCII) else None
        if value is None or not smallest <= value <= largest:
            raise argparse.ArgumentTypeError(f"{text!r:.40} is not a whole number from {smallest} to {largest}")
        return value

    return parse


def real(smallest: float, largest: float, *, above: bool = False) -> Callable[[str], float]:
    """Return a type for numbers from `smallest` (without it, if `above`) to `largest`."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not smallest <= value <= largest or (above and value == smallest):
            bounds = f"above {smallest:g} and at most {largest:g}" if above else f"from {smallest:g} to {largest:g}"
            raise argparse.ArgumentTypeError(f"{text!r:.40} is not a number {bounds}")
        return value

    return parse
