"""A video file: checks in words before it is opened, and playing it at its own speed.

Knows files; does not know sampling or threads.
"""

import stat
import time
from pathlib import Path

from redvillm.errors import SourceFormatError, SourceNotFoundError
from redvillm.runtime.frame import Frame
from redvillm.runtime.opencv import DEFAULT_FRAMES_PER_S, Capture
from redvillm.runtime.source import CAME_TO_ITS_END, Mark, SourceLimits, is_cut_short

_EASY_PIXELS = 1920 * 1088  # up to here one thread decodes in time, for a third less work than several that wait for each other


def open_clip(path: Path, limits: SourceLimits, *, decoder_threads: int | None = None) -> Capture:
    """Open the video file at `path`; `decoder_threads` as in Capture.

    Raises:
        SourceNotFoundError: no such file, or it may not be read.
        SourceFormatError: a directory, an empty file, something that is not a regular file, or not a video.
        BackendError: no usable cv2.
    """
    size_bytes = check_file(path)
    capture = Capture(
        str(path.absolute()), open_timeout_s=limits.open_timeout_s, read_timeout_s=limits.read_timeout_s, decoder_threads=decoder_threads
    )
    if not capture.is_open:
        capture.close()
        raise SourceFormatError(
            f"{path} ({size_bytes} bytes) is not a video that OpenCV can open: not a video file, an unknown codec, or cut short before its index. "
            "Check it with another player, or convert it to H.264 MP4"
        )
    return capture


def check_file(path: Path) -> int:
    """Return the size of the file at `path` in bytes, more than 0.

    Raises:
        SourceNotFoundError: no such file, or it may not be read.
        SourceFormatError: a directory, an empty file, or something that is not a regular file.
    """
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise SourceFormatError(f"{path} is a directory; give a video file")
        if not stat.S_ISREG(status.st_mode):
            raise SourceFormatError(f"{path} is not a regular file; give a video file, or a camera as its index or /dev/videoN")
        with path.open("rb"):
            pass
    except (FileNotFoundError, NotADirectoryError):
        raise SourceNotFoundError(f"no such file: {path}. Check the path; cameras are given as an index (0) or as /dev/videoN") from None
    except (OSError, ValueError) as error:
        raise SourceNotFoundError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}. Check its name and its permissions") from None
    if status.st_size == 0:
        raise SourceFormatError(f"{path} is empty (0 bytes); give a video file")
    return status.st_size


class FileSource:
    """A file as a live source: paced by its frame times; with `loop`, it starts again at its end."""

    is_paced = True
    can_return = False

    def __init__(self, path: Path, limits: SourceLimits) -> None:
        self.name = str(path)
        self.ending = CAME_TO_ITS_END
        self._path = path
        self._limits = limits
        self._capture: Capture | None = None
        self._decoder_threads: int | None = None
        self._round_start_s = 0.0
        self._last_s = 0.0
        self._num_grabbed = 0

    def open(self) -> None:
        """Open the file; errors as in `open_clip`."""
        self.close()
        self._capture = open_clip(self._path, self._limits, decoder_threads=self._decoder_threads)
        if self._decoder_threads is None and 0 < self._capture.num_pixels <= _EASY_PIXELS:
            self._decoder_threads = 1
            self._capture.close()
            self._capture = open_clip(self._path, self._limits, decoder_threads=1)
        self._num_grabbed = 0

    def grab(self) -> Mark | None:
        """Advance to the next frame; None at the end of a file that does not loop.

        Raises:
            SourceFormatError: not one frame can be read.
        """
        if self._capture is None:
            return None
        place_s = self._capture.grab()
        if place_s is None and self._num_grabbed and self._limits.loop:
            self._round_start_s = self._last_s + 1.0 / (self._capture.frames_per_s or DEFAULT_FRAMES_PER_S)
            self.open()
            place_s = self._capture.grab()
        if place_s is None:
            if not self._num_grabbed:
                raise SourceFormatError(f"{self.name} holds no frame that can be read; it is empty or damaged")
            self._check_extent(self._capture)
            return None
        self._num_grabbed += 1
        self._last_s = self._round_start_s + place_s
        return Mark(self._last_s)

    def _check_extent(self, capture: Capture) -> None:
        played_s = self._last_s - self._round_start_s + 1.0 / (capture.frames_per_s or DEFAULT_FRAMES_PER_S)
        declared_s = capture.declared_duration_s
        if is_cut_short(played_s, declared_s):
            self.ending = f"ended after {played_s:.1f} s of {declared_s:.1f} s declared: it is cut short or damaged"

    def retrieve(self) -> Frame | None:
        """Decode the frame last grabbed; None when it is damaged."""
        pixels = None if self._capture is None else self._capture.retrieve()
        return None if pixels is None else Frame(pixels, time.perf_counter(), self._last_s, is_bgr=True)

    def close(self) -> None:
        """Release the file."""
        if self._capture is not None:
            self._capture.close()
            self._capture = None
