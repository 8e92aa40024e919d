"""An iterator of frames as a source: what another program captured, rendered or received.

Knows iterators; does not know OpenCV.
"""

import time
from collections.abc import Iterable, Iterator
from typing import Any

from redvillm.errors import SourceLostError
from redvillm.runtime.frame import Frame, Pixels, check_pixels
from redvillm.runtime.source import CAME_TO_ITS_END, Mark


class IteratorSource:
    """Frames uint8 [height, width, 3] RGB as `iterable` gives them; it sets the pace by blocking."""

    name = "the iterator of frames"
    is_paced = False
    can_return = False
    ending = CAME_TO_ITS_END

    def __init__(self, iterable: Iterable[Any]) -> None:
        self._iterable = iterable
        self._frames: Iterator[Any] | None = None
        self._pixels: Pixels | None = None

    def open(self) -> None:
        """Start the iteration."""
        self._frames = iter(self._iterable)

    def grab(self) -> Mark | None:
        """Take the next frame; None when there are no more.

        Raises:
            SourceFormatError: it is not uint8 [height, width, 3].
            SourceLostError: the iterator itself raised.
        """
        if self._frames is None:
            return None
        try:
            value = next(self._frames)
        except StopIteration:
            return None
        except BaseException as error:  # also SystemExit: it would end the capture thread without a word
            raise SourceLostError(f"{self.name} raised {type(error).__name__}: {error}") from error
        self._pixels = check_pixels(value)
        return Mark(None)

    def retrieve(self) -> Frame | None:
        """Return a copy of the frame last taken, so that its producer may use the buffer again."""
        return None if self._pixels is None else Frame(self._pixels.copy(), time.perf_counter())

    def close(self) -> None:
        """Let go of the iterator."""
        self._frames = None
        self._pixels = None
