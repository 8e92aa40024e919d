"""A network address: an RTSP camera, an HTTP stream, or a clip behind HTTP. Every wait is bounded.

Knows addresses; does not know threads or reconnecting.
"""

import re
import time

from redvillm.errors import SourceLostError, SourceNotFoundError
from redvillm.runtime.frame import Frame
from redvillm.runtime.opencv import DEFAULT_FRAMES_PER_S, Capture
from redvillm.runtime.source import CAME_TO_ITS_END, Mark, SourceLimits, is_cut_short


def without_password(address: str) -> str:
    """Return `address` with the password of `user:password@` replaced by stars, for messages."""
    return re.sub(r"(://[^/@:]*):[^/]*@", r"\1:***@", address)


class AddressSource:
    """A stream behind an address. One with a known duration is a clip: it is paced and has an end."""

    ending = CAME_TO_ITS_END

    def __init__(self, address: str, limits: SourceLimits) -> None:
        self.name = without_password(address)
        self.is_paced = False
        self.can_return = True
        self._address = address
        self._limits = limits
        self._capture: Capture | None = None
        self._place_s: float | None = None

    def open(self) -> None:
        """Connect.

        Raises:
            SourceNotFoundError: nothing answers there in time, or no video.
        """
        self.close()
        capture = Capture(self._address, open_timeout_s=self._limits.open_timeout_s, read_timeout_s=self._limits.read_timeout_s)
        if not capture.is_open:
            capture.close()
            raise SourceNotFoundError(
                f"{self.name} gives no video within {self._limits.open_timeout_s:g} s: check the address, the network, user and password"
            )
        self.is_paced = capture.declared_duration_s is not None
        self.can_return = not self.is_paced  # a clip would begin again from its start
        self._capture = capture

    def grab(self) -> Mark | None:
        """Wait for the next frame, at most the read time limit; None at the end of a clip.

        Raises:
            SourceLostError: the stream delivers no more, or a clip broke off.
        """
        place_s = None if self._capture is None else self._capture.grab()
        if place_s is None:
            if self._capture is not None and self.is_paced:
                self._check_extent(self._capture)
                return None
            raise SourceLostError(f"{self.name} delivers no more frames (waited at most {self._limits.read_timeout_s:g} s); check the sender")
        self._place_s = place_s if self.is_paced else None
        return Mark(self._place_s)

    def _check_extent(self, capture: Capture) -> None:
        played_s = (self._place_s or 0.0) + 1.0 / (capture.frames_per_s or DEFAULT_FRAMES_PER_S)
        declared_s = capture.declared_duration_s
        if is_cut_short(played_s, declared_s):
            raise SourceLostError(f"{self.name} broke off after {played_s:.1f} s of {declared_s:.1f} s; check the sender and the network")

    def retrieve(self) -> Frame | None:
        """Decode the frame last grabbed; None when it is damaged."""
        pixels = None if self._capture is None else self._capture.retrieve()
        return None if pixels is None else Frame(pixels, time.perf_counter(), self._place_s, is_bgr=True)

    def close(self) -> None:
        """Disconnect."""
        if self._capture is not None:
            self._capture.close()
            self._capture = None
