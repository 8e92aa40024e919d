"""Which frames of a clip to use: spread evenly over its time, over its count when times are unknown, or at a rate.

Knows times and indices; does not know decoding.
"""

from typing import Generic, TypeVar

Item = TypeVar("Item")
EARLY = 0.25  # of a period: a source at about the asked rate is not halved by jitter


class TimeSampler:
    """Picks about `num_frames` frames at the centres of equal parts of the clip's duration, in one pass.

    Ask `is_due` for each frame in order of time and call `take` for each frame used. No frame is picked twice: a frame that stays for
    several parts (variable frame rate) counts once, and a clip with at most `num_frames` frames is used whole.
    """

    def __init__(self, *, duration_s: float, num_frames: int, period_s: float) -> None:
        """`period_s` is the nominal time between frames; a frame is shown for that long from its time on."""
        self._duration_s = duration_s
        self._num_frames = num_frames
        self._reach_s = period_s * 0.75  # not 0.5: times rounded to milliseconds must not skip a frame of a clip that is used whole
        self._next = 0

    def is_due(self, time_s: float) -> bool:
        """Whether the frame at `time_s` is the one for the next part."""
        return self._next < self._num_frames and time_s + self._reach_s >= self._target_s(self._next)

    def take(self, time_s: float) -> None:
        """Note that the frame at `time_s` is used."""
        while self.is_due(time_s):
            self._next += 1

    def _target_s(self, part: int) -> float:
        return (part + 0.5) * self._duration_s / self._num_frames


class RateSampler:
    """Picks frames at a rate by their own times, whatever the clock on the wall says: the same times, the same choice."""

    def __init__(self, rate_hz: float) -> None:
        """`rate_hz`: frames per second at most."""
        self._period_s = 1.0 / rate_hz
        self._due_s = float("-inf")

    def take(self, time_s: float) -> bool:
        """Return whether the frame at `time_s` is due, which begins the next period."""
        if time_s < self._due_s - EARLY * self._period_s:
            return False
        was_missed = time_s > self._due_s + self._period_s
        self._due_s = (time_s if was_missed else self._due_s) + self._period_s  # a missed turn is not made up for
        return True


class SpreadSampler(Generic[Item]):
    """Keeps an even spread of a sequence of unknown length in one pass and bounded memory.

    Keeps every `stride`-th item; whenever more than `2 * num_items` are held, every other one goes and the stride doubles.
    """

    def __init__(self, num_items: int) -> None:
        self._num_items = num_items
        self._stride = 1
        self._kept: list[tuple[int, Item]] = []
        self._count = 0

    @property
    def count(self) -> int:
        """Items seen so far."""
        return self._count

    def wants_next(self) -> bool:
        """Whether the next item will be kept; if not, `skip` it without computing it."""
        return self._count % self._stride == 0

    def skip(self) -> None:
        """Count an item without keeping it."""
        self._count += 1

    def keep(self, item: Item) -> None:
        """Keep the next item."""
        self._kept.append((self._count, item))
        self._count += 1
        if len(self._kept) > 2 * self._num_items:
            self._kept = self._kept[::2]
            self._stride *= 2

    def chosen(self) -> list[tuple[int, Item]]:
        """Return at most `num_items` pairs of index and item, at the centres of equal parts of what was seen."""
        if len(self._kept) <= self._num_items:
            return list(self._kept)
        step = len(self._kept) / self._num_items
        return [self._kept[int((part + 0.5) * step)] for part in range(self._num_items)]
