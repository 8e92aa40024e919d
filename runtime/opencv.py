"""The one door to OpenCV's video input: open, grab, retrieve, release, all bounded in time and silent.

Any `cv2` serves (opencv-python, its headless build, JetPack's own with GStreamer). Knows cv2; does not know threads, windows or
what a frame is for.
"""

import importlib
import os
from types import ModuleType, TracebackType
from typing import Any, Self

import numpy as np

from redvillm.errors import BackendError, SourceNotFoundError
from redvillm.runtime.frame import Pixels

_QUIET = {"OPENCV_LOG_LEVEL": "SILENT", "OPENCV_FFMPEG_LOGLEVEL": "-8"}  # -8 is AV_LOG_QUIET
DEFAULT_FRAMES_PER_S = 25.0


def load_cv2() -> ModuleType:
    """Import cv2, with its messages to stderr off unless the user set their level.

    Raises:
        BackendError: no cv2 that can be imported.
    """
    for name, level in _QUIET.items():
        os.environ.setdefault(name, level)  # read by OpenCV when it first opens something
    try:
        cv2 = importlib.import_module("cv2")
    except ImportError as error:
        raise BackendError(
            f"OpenCV (cv2) cannot be imported ({error}); install it with: pip install opencv-python-headless (on a Jetson, JetPack's own serves too)"
        ) from None
    if not hasattr(cv2, "VideoCapture"):
        raise BackendError("this cv2 was built without video input; install one that has it: pip install opencv-python-headless")
    return cv2


class Capture:
    """One opened video input.

    Frames come out blue, green, red, turned upright as the file says. Use as a context manager, or call `close`.
    """

    def __init__(self, target: str | int, *, open_timeout_s: float, read_timeout_s: float, decoder_threads: int | None = None) -> None:
        """Try to open `target` (a path, an address or a camera index); `is_open` says whether that succeeded.

        `decoder_threads` None leaves the number to OpenCV, which takes one for each core.

        Raises:
            BackendError: no usable cv2.
            SourceNotFoundError: a name that is not valid UTF-8.
        """
        self._cv2 = load_cv2()
        wanted = {"CAP_PROP_OPEN_TIMEOUT_MSEC": open_timeout_s * 1e3, "CAP_PROP_READ_TIMEOUT_MSEC": read_timeout_s * 1e3}
        if decoder_threads is not None:
            wanted["CAP_PROP_N_THREADS"] = decoder_threads
        parameters = [int(number) for name, value in wanted.items() if hasattr(self._cv2, name) for number in (getattr(self._cv2, name), value)]
        self._video = self._open(_utf8(target) if isinstance(target, str) else target, parameters)
        self._clock = _FrameClock(self.frames_per_s or DEFAULT_FRAMES_PER_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _open(self, target: str | int, parameters: list[int]) -> Any:
        if isinstance(target, str):  # FFmpeg first: it takes the time limits, and does not read "a1.png" as the start of a sequence
            video = self._cv2.VideoCapture(target, self._cv2.CAP_FFMPEG, parameters)
            if video.isOpened() or self._has_ffmpeg():
                return video
        return self._cv2.VideoCapture(target, self._cv2.CAP_ANY)

    def _has_ffmpeg(self) -> bool:
        return self._cv2.CAP_FFMPEG in self._cv2.videoio_registry.getBackends()

    @property
    def is_open(self) -> bool:
        """Whether the input was opened and not closed since."""
        return bool(self._video.isOpened())

    @property
    def num_pixels(self) -> int:
        """Pixels of a frame according to the header, 0 when it does not tell."""
        return max(0, int(self._video.get(self._cv2.CAP_PROP_FRAME_WIDTH) * self._video.get(self._cv2.CAP_PROP_FRAME_HEIGHT)))

    @property
    def fault(self) -> str | None:
        """Why reading ended early: OpenCV never tells."""
        return None

    @property
    def frames_per_s(self) -> float | None:
        """Nominal frame rate, None when the input does not tell a plausible one."""
        rate = float(self._video.get(self._cv2.CAP_PROP_FPS))
        return rate if 0.01 <= rate <= 1000 else None

    @property
    def declared_duration_s(self) -> float | None:
        """Duration that the header tells, None when it tells none; headers are often wrong."""
        count = float(self._video.get(self._cv2.CAP_PROP_FRAME_COUNT))
        rate = self.frames_per_s
        return count / rate if rate is not None and 1 <= count <= 1e9 else None

    def grab(self) -> float | None:
        """Advance to the next frame; return its place in seconds, never smaller than the one before, or None at the end."""
        if not self._video.grab():
            return None
        return self._clock.tick(float(self._video.get(self._cv2.CAP_PROP_POS_MSEC)) / 1e3)

    def retrieve(self) -> Pixels | None:
        """Return the frame last grabbed, uint8 [height, width, 3], blue green red; None when it cannot be decoded."""
        try:
            ok, pixels = self._video.retrieve()
        except (self._cv2.error, MemoryError):
            return None
        if not ok or pixels is None or pixels.ndim != 3 or pixels.size == 0 or pixels.dtype != np.uint8:
            return None
        return pixels  # type: ignore[no-any-return]

    def close(self) -> None:
        """Release the input; harmless when repeated."""
        self._video.release()


def _utf8(name: str) -> str:
    """Return `name` as OpenCV must be given it: it crashes on the lone surrogates that stand for bytes that Python could not decode."""
    try:
        return os.fsencode(name).decode("utf-8")
    except UnicodeError:
        shown = "the address" if "://" in name else f"{name!r:.200}"  # an address may hold a password
        raise SourceNotFoundError(f"{shown} is not valid UTF-8, and OpenCV opens no other names; rename the file, or link to it") from None


class _FrameClock:
    """Times of frames that always advance, also where the container gives none or jumps back."""

    def __init__(self, frames_per_s: float) -> None:
        self._period_s = 1.0 / frames_per_s
        self._last_s: float | None = None

    def tick(self, position_s: float) -> float:
        if self._last_s is None:
            self._last_s = position_s if np.isfinite(position_s) and position_s >= 0 else 0.0
        elif np.isfinite(position_s) and position_s > self._last_s:
            self._last_s = position_s
        else:
            self._last_s += self._period_s
        return self._last_s
