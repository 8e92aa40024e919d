"""Recording a stream into a trace, beside the stream: its own thread compresses and writes, and capture never waits for it.

Knows frames, books and the writer; does not know sources.
"""

import importlib.metadata
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from redvillm.errors import RedvillmError
from redvillm.runtime.drops import FrameCounts
from redvillm.runtime.frame import Frame, time_of
from redvillm.runtime.trace_writer import TraceWriter

_MAX_WAITING = 8  # frames
_BOOKS_EVERY_S = 1.0  # of the time of frames
_POLL_S = 0.1


@dataclass(frozen=True, kw_only=True)
class RecordingStatus:
    """A recording at one moment.

    Attributes:
        path: of the trace.
        num_frames: frames in it; `num_bytes` its size.
        num_missed: frames that were offered while the recorder was behind, and are not in it.
        stopped: why nothing more is recorded, None while it goes on and after a regular end.
    """

    path: str
    num_frames: int
    num_bytes: int
    num_missed: int
    stopped: str | None


class TraceRecorder:
    """Writes the frames that are offered, in order, until `close`, its limit, or a failing disk."""

    def __init__(self, path: Path, *, source_name: str, max_bytes: int, counts: Callable[[], FrameCounts], by_clip_time: bool = False) -> None:
        """Create the trace and start the thread.

        Args:
            path: of the trace; nothing must be there.
            source_name: what is recorded.
            max_bytes: the file does not grow larger.
            counts: gives the books of the stream, from any thread.
            by_clip_time: whether places in the clip are recorded as arrival times, of a source that is played faster than it was taken.

        Raises:
            OptionsError: there is a file of that name.
            StorageError: it cannot be written.
        """
        header = {
            "source": source_name[:1000],
            "redvillm": importlib.metadata.version("redvillm"),
            "begun": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        self._path = path
        self._max_bytes = max_bytes
        self._counts = counts
        self._by_clip_time = by_clip_time
        self._num_missed = 0
        self._stopped: str | None = None
        self._start_s: float | None = None
        self._next_books_s = _BOOKS_EVERY_S
        self._waiting: queue.Queue[Frame] = queue.Queue(_MAX_WAITING)
        self._closing = threading.Event()
        self._writer = TraceWriter(path, header, max_bytes=max_bytes)
        self._thread = threading.Thread(target=self._run, name="redvillm-recorder", daemon=True)
        self._thread.start()

    def offer(self, frame: Frame) -> None:
        """Record the frame, whose pixels must not change any more; returns at once."""
        if self._closing.is_set() or self._stopped is not None:
            return
        try:
            self._waiting.put_nowait(frame)
        except queue.Full:
            self._num_missed += 1

    @property
    def status(self) -> RecordingStatus:
        """How far it is."""
        return RecordingStatus(
            path=str(self._path),
            num_frames=len(self._writer.index),
            num_bytes=self._writer.num_bytes,
            num_missed=self._num_missed,
            stopped=self._stopped,
        )

    def close(self, timeout_s: float = 5.0) -> bool:
        """Write what waits, the last books and the index; return whether that was done in time. A trace without a frame is removed."""
        self._closing.set()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            while self._stopped is None and not (self._closing.is_set() and self._waiting.empty()):
                try:
                    frame = self._waiting.get(timeout=_POLL_S)
                except queue.Empty:
                    continue
                self._record(frame)
        except Exception as error:  # a full disk, or what nobody thought of: the stream goes on without a recording
            self._stopped = str(error) if isinstance(error, RedvillmError) else f"{type(error).__name__}: {error}"
        try:
            self._finish()
        except RedvillmError as error:
            self._stopped = self._stopped or str(error)

    def _record(self, frame: Frame) -> None:
        time_s = time_of(frame, self._by_clip_time)
        self._start_s = time_s if self._start_s is None else self._start_s
        time_s -= self._start_s
        if not self._writer.add_frame(frame, time_s):
            self._stopped = f"the trace would grow beyond {self._max_bytes} bytes"
        elif time_s >= self._next_books_s:
            self._next_books_s = time_s + _BOOKS_EVERY_S
            self._writer.add_books(self._books())

    def _finish(self) -> None:
        if not self._writer.index:
            self._writer.discard()
            return
        try:
            self._writer.add_books(self._books())
        finally:
            self._writer.close()

    def _books(self) -> dict[str, Any]:
        counts = self._counts()
        drops = {reason.value: number for reason, number in counts.drops.items()}
        books = {"captured": counts.captured, "used": counts.used, "drops": drops, "missed": self._num_missed}
        return books if self._stopped is None else books | {"stopped": self._stopped[:1000]}
