"""The one-frame slot between capture and perception: the newest frame or none, and whether one is wanted now.

Knows hand-over between two threads; does not know sources or encoders.
"""

import threading

from redvillm.runtime.drops import DropReason
from redvillm.runtime.frame import Frame


class FrameSlot:
    """Holds at most one frame. Perception says when it wants one, so that capture need not decode frames that nobody takes."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._frame: Frame | None = None
        self._refusal: DropReason | None = None
        self._closed = False

    @property
    def refusal(self) -> DropReason | None:
        """Why a frame is not wanted now; None when one is."""
        with self._condition:
            return self._refusal

    @property
    def is_over(self) -> bool:
        """Whether no more frames will come and none is held."""
        with self._condition:
            return self._closed and self._frame is None

    def refuse(self, reason: DropReason) -> None:
        """From now on frames are dropped for `reason`."""
        with self._condition:
            self._refusal = reason

    def request(self) -> None:
        """From now on frames are wanted."""
        with self._condition:
            self._refusal = None

    def put(self, frame: Frame) -> Frame | None:
        """Store the newest frame; return the one it replaces, if that had not been taken."""
        with self._condition:
            replaced, self._frame = self._frame, frame
            self._condition.notify_all()
            return replaced

    def take(self, timeout_s: float) -> Frame | None:
        """Wait for a frame and take it; from then on frames are refused as `busy`. None after the timeout or when closed and empty."""
        with self._condition:
            self._condition.wait_for(lambda: self._frame is not None or self._closed, timeout_s)
            frame, self._frame = self._frame, None
            if frame is not None:
                self._refusal = DropReason.BUSY
            return frame

    def wait_closed(self, timeout_s: float) -> None:
        """Wait until no more frames will come, at most `timeout_s`."""
        with self._condition:
            self._condition.wait_for(lambda: self._closed, timeout_s)

    def close(self) -> None:
        """No more frames will come; the one held may still be taken."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()
