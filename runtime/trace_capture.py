"""A trace as a clip: read frame by frame as `opencv.Capture` reads a video file.

Knows traces; does not know sampling.
"""

from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from redvillm.errors import SourceFormatError
from redvillm.runtime.frame import Pixels
from redvillm.runtime.source_file import check_file
from redvillm.runtime.trace_format import TracedFrame
from redvillm.runtime.trace_reader import TraceReader


class TraceCapture:
    """One pass over the frames of a trace. A context manager; close it at the end."""

    def __init__(self, path: Path) -> None:
        """Open the trace.

        Raises:
            SourceNotFoundError: no such file, or it may not be read.
            SourceFormatError: it is not a trace.
        """
        check_file(path)
        self._reader = TraceReader(path)
        self._frame: TracedFrame | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._reader.close()

    @property
    def frames_per_s(self) -> float | None:
        """Mean frame rate, None when the end of the file, which tells it, is not there."""
        if self._reader.declared is None:
            return None
        count, last_s = self._reader.declared
        return (count - 1) / last_s if count > 1 and last_s > 0 else None

    @property
    def declared_duration_s(self) -> float | None:
        """Time from the first frame to the end of the last, None when the file does not tell."""
        rate = self.frames_per_s
        return None if rate is None or self._reader.declared is None else self._reader.declared[0] / rate

    @property
    def fault(self) -> str | None:
        """Why reading ended early, None when it did not."""
        return self._reader.fault

    def grab(self) -> float | None:
        """Advance to the next frame, without inflating it; return when it arrived, in seconds, or None at the end."""
        self._frame = self._reader.next_frame()
        return None if self._frame is None else self._frame.time_s

    def retrieve(self) -> Pixels | None:
        """Return the frame last grabbed, uint8 [height, width, 3], blue green red; None when it is damaged."""
        if self._frame is None:
            return None
        try:
            pixels = self._frame.pixels()
        except SourceFormatError:
            return None
        return pixels if self._frame.is_bgr else np.ascontiguousarray(pixels[:, :, ::-1])
