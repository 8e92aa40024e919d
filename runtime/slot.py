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
        self._refused_until_s = 0.0
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

    def refuse(self, reason: DropReason, until_s: float = 0.0) -> None:
        """From now on frames are dropped for `reason`; not before `until_s`, on the clock of `time.perf_counter`, will one be wanted."""
        with self._condition:
            self._refusal, self._refused_until_s = reason, until_s

    def refuses_at(self, time_s: float) -> bool:
        """Whether it is known that no frame will be wanted at `time_s`."""
        with self._condition:
            return self._refusal is not None and time_s < self._refused_until_s

    def request(self) -> None:
        """From now on frames are wanted."""
        with self._condition:
            self._refusal = None
            self._condition.notify_all()

    def put(self, frame: Frame) -> Frame | None:
        """Store the newest frame; return the one it replaces, if that had not been taken."""
        with self._condition:
            replaced, self._frame = self._frame, frame
            self._condition.notify_all()
            return replaced

    def wait_wanted(self, timeout_s: float) -> bool:
        """Wait until the slot is empty and a frame is wanted, or no more frames will be taken; return whether that came, at most `timeout_s`."""
        with self._condition:
            return self._condition.wait_for(lambda: self._closed or (self._refusal is None and self._frame is None), timeout_s)

    def take(self, timeout_s: float) -> Frame | None:
        """Wait for a frame and take it; from then on frames are refused as `busy`. None after the timeout or when closed and empty."""
        with self._condition:
            self._condition.wait_for(lambda: self._frame is not None or self._closed, timeout_s)
            frame, self._frame = self._frame, None
            if frame is not None:
                self._refusal, self._refused_until_s = DropReason.BUSY, 0.0  # nobody knows for how long
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
