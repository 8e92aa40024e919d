"""Video sources: what a live source is, and which one a user's word means.

Knows the kinds of sources; how each works is in source_file, source_trace, source_camera, source_address and source_iterator.
"""

import os
import re
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from redvillm.errors import OptionsError
from redvillm.runtime.frame import Frame
from redvillm.runtime.trace_format import TRACE_SUFFIX

ADDRESS = re.compile(r"^(rtsps?|rtmps?|https?|udp|tcp|srt|rtp)://", re.IGNORECASE)
_LEGAL = (
    "a video file, a trace (.rvtrace), a camera index (0), a camera device (/dev/video0), an address (rtsp://, http://) or an iterator of RGB frames"
)


CAME_TO_ITS_END = "came to its end"


@dataclass(frozen=True, slots=True)
class Mark:
    """A frame that was grabbed and not yet decoded.

    `clip_time_s` is None for sources without a clip time; `is_exact` tells that it is right, even where it jumps.
    """

    clip_time_s: float | None
    is_exact: bool = False


def is_cut_short(duration_s: float, declared_s: float | None) -> bool:
    """Whether clearly less was read than the header declares (5 % and three tenths of a second)."""
    return declared_s is not None and duration_s < min(declared_s * 0.95, declared_s - 0.3)


class Source(Protocol):
    """Something that delivers frames one after another. One thread owns it.

    Attributes:
        name: how messages call it, without passwords.
        is_paced: frames are ready before their time, and the reader waits for `clip_time_s`.
        can_return: after a loss, opening it again may help.
        ending: what is to be said of its end, once that has come.
    """

    name: str
    is_paced: bool
    can_return: bool
    ending: str

    def open(self) -> None:
        """Open, or open again after `close`.

        Raises:
            SourceNotFoundError: nothing there.
            SourceFormatError: something there that is not a readable video.
        """

    def grab(self) -> Mark | None:
        """Advance to the next frame, cheaply; None at the regular end.

        Raises:
            SourceLostError: it was there and went away.
        """

    def retrieve(self) -> Frame | None:
        """Decode the frame last grabbed; None when that frame is damaged."""

    def close(self) -> None:
        """Release what is held; harmless when repeated."""


@dataclass(frozen=True, kw_only=True)
class SourceLimits:
    """How long a source may take, in seconds, and whether a file starts again at its end."""

    open_timeout_s: float = 10.0
    read_timeout_s: float = 5.0
    loop: bool = False

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            OptionsError: a time limit that is not positive and at most an hour.
        """
        for name in ("open_timeout_s", "read_timeout_s"):
            value = getattr(self, name)
            if not 0 < value <= 3600:
                raise OptionsError(f"{name} is {value!r:.40}; give seconds, more than 0 and at most 3600")


def make_source(spec: Any, limits: SourceLimits) -> Source:
    """Return the live source that `spec` means, not opened yet.

    Args:
        spec: a path, also of a trace, a camera index, a camera device, an address or an iterable of frames uint8 [height, width, 3] RGB.
        limits: time limits and looping.

    Raises:
        OptionsError: `spec` is none of these, or a camera index that cannot be.
    """
    from redvillm.runtime.source_address import AddressSource
    from redvillm.runtime.source_camera import CameraSource
    from redvillm.runtime.source_file import FileSource
    from redvillm.runtime.source_iterator import IteratorSource
    from redvillm.runtime.source_trace import TraceSource

    if isinstance(spec, bool) or spec is None:
        raise OptionsError(f"{spec!r} is not a source; give {_LEGAL}")
    if isinstance(spec, int):
        return CameraSource(spec, limits)
    if isinstance(spec, str | os.PathLike):
        text = os.fspath(spec)
        if not isinstance(text, str) or not text or "\0" in text:
            raise OptionsError(f"{spec!r:.80} is not a source; give {_LEGAL}")
        if re.fullmatch(r"\d{1,9}", text, re.ASCII):
            return CameraSource(int(text), limits)
        if ADDRESS.match(text):
            return AddressSource(text, limits)
        if _is_camera_device(text):
            return CameraSource(text, limits)
        return TraceSource(Path(text), limits) if text.endswith(TRACE_SUFFIX) else FileSource(Path(text), limits)
    if isinstance(spec, Iterable):
        return IteratorSource(spec)
    raise OptionsError(f"a {type(spec).__name__} is not a source; give {_LEGAL}")


def _is_camera_device(text: str) -> bool:
    if re.fullmatch(r"/dev/video\d+", text):
        return True
    try:
        return text.startswith("/dev/") and stat.S_ISCHR(os.stat(text).st_mode) and Path(text).resolve().name.startswith("video")  # noqa: PTH116
    except OSError:
        return False
