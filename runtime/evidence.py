"""What an answer rests on: which frames, how old, and what was not seen.

Knows counts and times; does not know pixels.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from redvillm.runtime.timings import PerceptionTimings

_NO_DROPS: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Evidence of one answer.

    Attributes:
        frames_used: frames in the window.
        frame_times_s: their places in the clip or file; None for a source without clip times.
        window_span_s: time between the oldest and the newest of them; None when times are unknown.
        age_newest_ms: live only: age of the newest frame when the answer was begun.
        age_oldest_ms: live only: age of the oldest.
        frames_captured: frames that the source delivered up to then (of a clip: that it holds).
        drops: live only: frames dropped so far, by reason.
        snapshot_version: live only: version of the window, counted from 1.
        clip_duration_s: of a clip, as decoded.
        notes: what the reader of the answer should know, in words: a damaged clip, a source that ended.
    """

    frames_used: int
    frame_times_s: tuple[float, ...] | None = None
    window_span_s: float | None = None
    age_newest_ms: float | None = None
    age_oldest_ms: float | None = None
    frames_captured: int = 0
    drops: Mapping[str, int] = field(default_factory=lambda: _NO_DROPS)
    snapshot_version: int | None = None
    clip_duration_s: float | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class VisualPrefix:
    """Visual tokens, float32 [num_visual_tokens, H]. The language thread compares prefixes by identity to use its cache again."""

    visual_tokens: npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, eq=False)
class Grounds:
    """A visual prefix with its evidence, ready to be asked about; `newest_frame_s` is a capture time, None for a clip."""

    prefix: VisualPrefix
    evidence: Evidence
    timings: PerceptionTimings
    newest_frame_s: float | None = None
