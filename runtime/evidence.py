"""What an answer rests on: which frames, how old, and what was not seen.

Knows counts and times; does not know pixels.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from redvillm.runtime.timings import PerceptionTimings

_NO_DROPS: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class RememberedSpan:
    """A chunk of earlier frames that an answer rests on.

    Attributes:
        age_oldest_ms: age of its first frame when the answer was begun; `age_newest_ms` that of its last.
        clip_times_s: places of the two in the file; None for a source without clip times.
        num_frames: frames that it stands for.
        num_visual_tokens: tokens that stand for it.
    """

    age_oldest_ms: float
    age_newest_ms: float
    clip_times_s: tuple[float, float] | None
    num_frames: int
    num_visual_tokens: int


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Evidence of one answer.

    Attributes:
        frames_used: frames in the window.
        frame_times_s: their places in the clip or file; None for a source without clip times.
        window_span_s: time between the oldest and the newest of them; None when times are unknown.
        age_newest_ms: live only: age of the newest frame in the window when the answer was begun.
        age_oldest_ms: live only: age of the oldest.
        frames_captured: frames that the source delivered up to then (of a clip: that it holds).
        drops: live only: frames dropped so far, by reason.
        snapshot_version: live only: version of the window, counted from 1.
        age_confirmed_ms: live only: age of the last frame that was seen to look like that newest one, or of that itself. A scene that does not
            change is not entered again and again; this is how long ago the window was last known to be true.
        remembered: live only: what it rests on besides, oldest first; the newest of them may overlap the window.
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
    age_confirmed_ms: float | None = None
    remembered: tuple[RememberedSpan, ...] = ()
    clip_duration_s: float | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class VisualPrefix:
    """Visual tokens in segments, each float32 [K, H] and never changed: what was prefilled before is known by identity."""

    segments: tuple[npt.NDArray[np.float32], ...]

    @property
    def num_visual_tokens(self) -> int:
        """Visual tokens of all segments."""
        return sum(len(segment) for segment in self.segments)

    @property
    def visual_tokens(self) -> npt.NDArray[np.float32]:
        """All of them, float32 [num_visual_tokens, H]."""
        return self.segments[0] if len(self.segments) == 1 else np.concatenate(self.segments)


@dataclass(frozen=True, eq=False)
class Turn:
    """What the search for grounds may know when a question's turn has come.

    Attributes:
        give_up: whether nobody waits for the answer any more.
        is_loaded: whether a visual prefix lies in the cache, so that a question about it pays for its own tokens only.
    """

    give_up: Callable[[], bool]
    is_loaded: Callable[[VisualPrefix], bool]


@dataclass(frozen=True, kw_only=True, eq=False)
class Grounds:
    """A visual prefix with its evidence, ready to be asked about.

    `newest_frame_s` is the capture time of the newest frame in the window, or of the last one that was seen to look the same; None for a clip.
    """

    prefix: VisualPrefix
    evidence: Evidence
    timings: PerceptionTimings
    newest_frame_s: float | None = None
