"""Reading a trace, whoever made the file: what is damaged ends it, in words, and never raises anything else.

Knows files and the format; does not know streams or time. One owner thread.
"""

import math
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from redvillm.errors import SourceFormatError
from redvillm.runtime.trace_format import (
    END_MAGIC,
    FOOTER,
    INDEX_ENTRY,
    MAGIC,
    RECORD_HEAD,
    Kind,
    TracedFrame,
    checked_head,
    is_whole,
    unpack_frame,
    unpack_json,
)


class TraceReader:
    """The frames of a trace, in order. A context manager.

    Attributes:
        header: what the recording said at its begin; of nobody's trust.
        books: the newest books that were passed; of nobody's trust.
        num_frames: frames given so far.
        declared: number of frames and time of the last according to the index; None when the end of the file is not there.
        fault: why reading ended early, None while it goes on and after a whole trace.
    """

    def __init__(self, path: Path) -> None:
        """Open the file.

        Raises:
            SourceFormatError: it is not a trace, or of a version that is not known.
            OSError: it cannot be read.
        """
        self.header: dict[str, Any] = {}
        self.books: dict[str, Any] = {}
        self.num_frames = 0
        self.fault: str | None = None
        self._path = path
        self._last_s = 0.0
        self._is_over = False
        self._file: BinaryIO = path.open("rb")
        try:
            self._size = path.stat().st_size
            self._check_begin()
            self.declared = self._read_index()
            self._file.seek(self._first)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def next_frame(self) -> TracedFrame | None:
        """Return the next frame; None at the end, and at a cut or damage, which `fault` then tells."""
        while not self._is_over:
            record = self._read_record()
            if record is None:
                self._end("cut short" if self.declared is None else "damaged")
                break
            kind, payload = record
            if kind is Kind.FRAME:
                frame = unpack_frame(payload)
                if frame is None or frame.time_s < self._last_s:
                    self._end("damaged")
                    break
                self.num_frames += 1
                self._last_s = frame.time_s
                return frame
            if kind is Kind.BOOKS:
                self.books = unpack_json(payload) or self.books
            elif kind is Kind.INDEX:
                self._is_over = True
                if self.declared is None or self.declared[0] != self.num_frames:
                    self._end("cut short" if self.declared is None else "damaged")
        return None

    def close(self) -> None:
        """Close the file; harmless when repeated."""
        self._is_over = True
        self._file.close()

    def _end(self, what: str) -> None:
        self._is_over = True
        self.fault = f"the trace is {what} after frame {self.num_frames} ({self._last_s:.1f} s); what comes before is whole"

    def _check_begin(self) -> None:
        magic = self._file.read(len(MAGIC))
        if magic[:-1] != MAGIC[:-1]:
            raise SourceFormatError(f"{self._path} is not a trace of redvillm; give one that 'redvillm live --record' made")
        if magic != MAGIC:
            raise SourceFormatError(
                f"{self._path} is a trace of version {magic[-1]}; this redvillm reads version {MAGIC[-1]}. Use the one that made it"
            )
        record = self._read_record()
        header = unpack_json(record[1]) if record is not None and record[0] is Kind.HEADER else None
        if header is None:
            raise SourceFormatError(f"{self._path} is a trace whose begin is damaged; nothing can be read from it")
        self.header = header
        self._first = self._file.tell()

    def _read_record(self) -> tuple[Kind, bytes] | None:
        head = checked_head(self._file.read(RECORD_HEAD.size))
        if head is None or head[1] > self._size - self._file.tell():
            return None
        kind, length, checksum = head
        payload = self._file.read(length)
        return (kind, payload) if len(payload) == length and is_whole(kind, payload, checksum) else None

    def _read_index(self) -> tuple[int, float] | None:
        place = self._size - FOOTER.size
        if place < self._first:
            return None
        self._file.seek(place)
        start, magic = FOOTER.unpack(self._file.read(FOOTER.size))
        if magic != END_MAGIC or not self._first <= start <= place:
            return None
        self._file.seek(start)
        record = self._read_record()
        if record is None or record[0] is not Kind.INDEX or len(record[1]) % INDEX_ENTRY.size or self._file.tell() != place:
            return None
        entries = record[1]
        if not entries:
            return 0, 0.0
        last_s = INDEX_ENTRY.unpack_from(entries, len(entries) - INDEX_ENTRY.size)[1]
        return (len(entries) // INDEX_ENTRY.size, last_s) if math.isfinite(last_s) else None
