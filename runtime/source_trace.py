"""A trace as a source: the frames that a stream was once offered, at the times at which they came.

Knows traces; does not know sampling or threads.
"""

import time
from pathlib import Path

from redvillm.errors import SourceFormatError
from redvillm.runtime.frame import Frame
from redvillm.runtime.source import CAME_TO_ITS_END, Mark, SourceLimits
from redvillm.runtime.source_file import check_file
from redvillm.runtime.trace_format import TracedFrame
from redvillm.runtime.trace_reader import TraceReader

_ROUND_PAUSE_S = 0.1  # between the last frame and the first of the next round


class TraceSource:
    """A trace: paced by the arrival times; with `loop`, it starts again at its end."""

    is_paced = True
    can_return = False

    def __init__(self, path: Path, limits: SourceLimits) -> None:
        self.name = str(path)
        self.ending = CAME_TO_ITS_END
        self._path = path
        self._limits = limits
        self._reader: TraceReader | None = None
        self._frame: TracedFrame | None = None
        self._round_start_s = 0.0
        self._last_s = 0.0

    def open(self) -> None:
        """Open the trace.

        Raises:
            SourceNotFoundError: no such file, or it may not be read.
            SourceFormatError: it is not a trace.
        """
        self.close()
        check_file(self._path)
        self._reader = TraceReader(self._path)

    def grab(self) -> Mark | None:
        """Read the next frame, without inflating it; None at the end, and where the trace is cut or damaged.

        Raises:
            SourceFormatError: it holds no frame.
        """
        if self._reader is None:
            return None
        self._frame = self._reader.next_frame()
        if self._frame is None and self._reader.num_frames and self._limits.loop:
            self._round_start_s = self._last_s + _ROUND_PAUSE_S
            self.open()
            self._frame = self._reader.next_frame()
        if self._frame is None:
            if not self._reader.num_frames:
                raise SourceFormatError(f"{self.name} holds no frame" + (f": {self._reader.fault}" if self._reader.fault else ""))
            self._tell_ending(self._reader)
            return None
        self._last_s = self._round_start_s + self._frame.time_s
        return Mark(self._last_s, is_exact=True)

    def _tell_ending(self, reader: TraceReader) -> None:
        stopped = reader.books.get("stopped")
        if reader.fault is not None:
            self.ending = f"ended early: {reader.fault}"
        elif isinstance(stopped, str):
            self.ending = f"{CAME_TO_ITS_END}; its recording was stopped: {stopped:.200}"

    def retrieve(self) -> Frame | None:
        """Inflate the frame last read; None when it is damaged."""
        if self._frame is None:
            return None
        try:
            pixels = self._frame.pixels()
        except SourceFormatError:
            return None
        return Frame(pixels, time.perf_counter(), self._last_s, is_bgr=self._frame.is_bgr)

    def close(self) -> None:
        """Release the file."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None
