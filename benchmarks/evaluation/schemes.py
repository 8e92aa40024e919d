"""Ways to turn a video into visual tokens: pooled streams, frames one after the other, frames as the tiles of one picture.

Each is made of what the same model gives for fewer or other frames, so that right answers can be compared over the number of visual tokens. Knows an
engine; does not know questions.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import cv2
import numpy as np

from redvillm.benchmarks.evaluation.engine import Pixels
from redvillm.benchmarks.evaluation.evaluator import Answers
from redvillm.errors import OptionsError
from redvillm.evenly import even_places
from redvillm.runtime.evidence import VisualPrefix

_Form = Literal["pooled", "frames", "grid"]
_MAX_COUNT = 64


@dataclass(frozen=True)
class Scheme:
    """`pooled` streams over `count` frames; `count` frames, each with tokens of its own; a `grid` of count x count frames in one picture."""

    form: _Form
    count: int

    def __str__(self) -> str:
        return f"{self.form}-{self.count}"


def parse_scheme(text: str) -> Scheme:
    """Read "pooled-16", "frames-4" or "grid-3".

    Raises:
        OptionsError: none of these.
    """
    match = re.fullmatch(rf"({'|'.join(get_args(_Form))})-(\d{{1,3}})", text)
    if match is None or not 1 <= int(match[2]) <= _MAX_COUNT:
        raise OptionsError(f"{text!r:.40} is not a way to show a video; give pooled-N, frames-N or grid-N, with N from 1 to {_MAX_COUNT}")
    return Scheme(match[1], int(match[2]))  # type: ignore[arg-type]  # the pattern has these forms only


def show(engine: Answers, clip: Path | Sequence[Pixels], scheme: Scheme) -> VisualPrefix:
    """Return the visual tokens of a clip in one way."""
    frames = list(engine.frames(clip)) if isinstance(clip, Path) else list(clip)
    if scheme.form == "pooled":
        return engine.watch(evenly(frames, scheme.count))
    if scheme.form == "frames":
        return VisualPrefix(tuple(segment for frame in evenly(frames, scheme.count) for segment in engine.watch([frame]).segments))
    return engine.watch([tiles(frames, scheme.count)])


def evenly(frames: Sequence[Pixels], count: int) -> list[Pixels]:
    """Return at most `count` frames, evenly spread, first and last included when there are two."""
    return [frames[place] for place in even_places(len(frames), count)]


def tiles(frames: Sequence[Pixels], side: int) -> Pixels:
    """Return one picture of the first frame's size, of side x side frames, row by row; a short clip repeats frames."""
    height, width = frames[0].shape[:2]
    places = np.linspace(0, len(frames) - 1, side * side).round().astype(int)
    small = [cv2.resize(frames[place], (width // side, height // side), interpolation=cv2.INTER_AREA) for place in places]
    rows = [np.concatenate(small[start : start + side], axis=1) for start in range(0, len(small), side)]
    return np.asarray(np.concatenate(rows), dtype=np.uint8)
