"""Why frames were not used, and the books over all of them.

Invariant: captured = used + sum(drops) + in flight, at every moment. Does not know threads beyond its own lock.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class DropReason(StrEnum):
    """Why a captured frame did not reach the window."""

    BUSY = "busy"  # perception was still at work on an earlier frame
    RATE = "rate"  # the next frame is not due at the asked rate
    DUPLICATE = "duplicate"  # the duplicate gate saw no change
    STALE = "stale"  # it waited too long to still be news
    DECODE_ERROR = "decode_error"  # it was damaged


@dataclass(frozen=True)
class FrameCounts:
    """Books at one moment; `in_flight` frames are captured and not yet settled."""

    captured: int
    used: int
    drops: Mapping[DropReason, int]

    @property
    def dropped(self) -> int:
        """All drops together."""
        return sum(self.drops.values())

    @property
    def in_flight(self) -> int:
        """Frames captured, and neither used nor dropped so far."""
        return self.captured - self.used - self.dropped


class FrameLedger:
    """Counts frames; every method may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._captured = 0
        self._used = 0
        self._drops = dict.fromkeys(DropReason, 0)

    def capture(self) -> None:
        """Count a captured frame."""
        with self._lock:
            self._captured += 1

    def use(self) -> None:
        """Count a frame that entered the window."""
        with self._lock:
            self._used += 1

    def drop(self, reason: DropReason) -> None:
        """Count a dropped frame."""
        with self._lock:
            self._drops[reason] += 1

    def counts(self) -> FrameCounts:
        """Return the books at this moment, consistent."""
        with self._lock:
            return FrameCounts(self._captured, self._used, MappingProxyType(dict(self._drops)))
