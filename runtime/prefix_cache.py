"""Two KV caches of one decoder: the newest complete prefix, to answer from, and the one in the making.

A prefix is a run of segments, each float32 [K, H]: the system prompt first, then visual tokens. Segments are compared by identity: what a new prefix
shares with one of the caches, from the front on, is kept or copied and never computed again. Knows decoders; does not know prompts or questions.
One owner thread.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from redvillm.runtime.decoder import Decoder

FloatArray = npt.NDArray[np.float32]
PREFILL_SLICE_TOKENS = 32  # what is computed between two looks at whether somebody waits


@dataclass
class _Slot:
    decoder: Decoder
    segments: list[FloatArray] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)  # where each segment ends in the cache

    def num_shared(self, segments: Sequence[FloatArray]) -> int:
        """Return how many leading segments lie in this cache already."""
        count = 0
        while count < min(len(segments), len(self.segments)) and segments[count] is self.segments[count]:
            count += 1
        return count

    def keep(self, num_segments: int) -> None:
        """Forget what follows the first `num_segments` segments."""
        del self.segments[num_segments:], self.ends[num_segments:]
        self.decoder.rewind(self.ends[-1] if self.ends else 0)


class PrefixCache:
    """The prefix to answer from, and the making of the next one. A prefix that is cancelled leaves the one before as it was."""

    def __init__(self, front: Decoder, back: Decoder) -> None:
        """Take two decoders over one session, both empty."""
        self._front, self._back = _Slot(front), _Slot(back)

    @property
    def decoder(self) -> Decoder:
        """The decoder whose cache begins with the newest complete prefix."""
        return self._front.decoder

    @property
    def length(self) -> int:
        """Positions of the newest complete prefix, 0 when there is none."""
        return self._front.ends[-1] if self._front.ends else 0

    def build(self, segments: Sequence[FloatArray], should_cancel: Callable[[], bool]) -> bool:
        """Make `segments` the prefix, slice by slice; `should_cancel` is asked before each slice, and False is returned once it said yes."""
        if self._front.num_shared(segments) == len(segments) == len(self._front.segments):
            return True
        back = self._back
        self._take_over(segments)
        for segment in segments[len(back.segments) :]:
            window_start = back.decoder.length if back.segments else None  # the first segment is text
            for start in range(0, len(segment), PREFILL_SLICE_TOKENS):
                if should_cancel():
                    return False
                back.decoder.forward(segment[start : start + PREFILL_SLICE_TOKENS], [], window_start=window_start)
            back.segments.append(segment)
            back.ends.append(back.decoder.length)
        self._front, self._back = back, self._front
        return True

    def clear(self) -> None:
        """Forget everything, after a failure."""
        for slot in (self._front, self._back):
            slot.keep(0)

    def _take_over(self, segments: Sequence[FloatArray]) -> None:
        """Leave in the back cache what `segments` share with either cache."""
        front, back = self._front, self._back
        num_in_back, num_in_front = back.num_shared(segments), front.num_shared(segments)
        back.keep(num_in_back)
        if num_in_front > num_in_back:
            back.decoder.copy_positions(front.decoder, front.ends[num_in_front - 1])
            back.segments += front.segments[num_in_back:num_in_front]
            back.ends += front.ends[num_in_back:num_in_front]
