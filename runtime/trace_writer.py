"""Writing a trace: a file that only grows, record by record.

Knows files and the format; does not know streams or threads. One owner thread.
"""

import contextlib
import os
from pathlib import Path
from typing import Any

from redvillm.errors import OptionsError, StorageError
from redvillm.files import storage_errors
from redvillm.runtime.frame import Frame
from redvillm.runtime.trace_format import END_MAGIC, FOOTER, INDEX_ENTRY, MAGIC, RECORD_HEAD, Kind, pack_frame, pack_json, pack_record

_LAST_WORDS_BYTES = 4096  # for the last books, the index record's head and the footer


class TraceWriter:
    """A new trace. `close` writes the index; without it, all that was written can still be read."""

    def __init__(self, path: Path, header: dict[str, Any], *, max_bytes: int) -> None:
        """Create the file.

        Raises:
            OptionsError: there is a file of that name.
            StorageError: it cannot be written there.
        """
        self.num_bytes = 0
        self.index: list[tuple[int, float]] = []
        self._path = path
        self._max_bytes = max_bytes
        if path.exists():
            raise OptionsError(f"{path} exists; a recording does not overwrite: give another name, or remove it")
        with storage_errors(path):
            self._file = path.open("xb", buffering=0)
        try:
            self._write(MAGIC + pack_record(Kind.HEADER, pack_json(header)))
        except BaseException:
            self.discard()
            raise

    def add_frame(self, frame: Frame, time_s: float) -> bool:
        """Append a frame that arrived at `time_s`; False, and nothing is written, when the file would grow beyond its limit.

        Raises:
            OptionsError: the frame is larger than a trace takes.
            StorageError: the disk is full.
        """
        record = pack_record(Kind.FRAME, pack_frame(frame, time_s))
        if self.num_bytes + len(record) + (len(self.index) + 1) * INDEX_ENTRY.size + _LAST_WORDS_BYTES > self._max_bytes:
            return False
        place = self.num_bytes
        self._write(record)
        self.index.append((place, time_s))
        return True

    def add_books(self, books: dict[str, Any]) -> None:
        """Append the books of the stream, unless they would not leave room for the end."""
        record = pack_record(Kind.BOOKS, pack_json(books))
        if self.num_bytes + len(record) + len(self.index) * INDEX_ENTRY.size + RECORD_HEAD.size + FOOTER.size <= self._max_bytes:
            self._write(record)

    def close(self) -> None:
        """Append index and footer, and close the file.

        Raises:
            StorageError: the disk is full; what was written before can be read.
        """
        try:
            place = self.num_bytes
            entries = b"".join(INDEX_ENTRY.pack(*entry) for entry in self.index)
            self._write(pack_record(Kind.INDEX, entries) + FOOTER.pack(place, END_MAGIC))
            os.fsync(self._file.fileno())
        except OSError as error:
            raise StorageError(f"{self._path} may not be whole on the disk: {error.strerror}. Check the disk") from error
        finally:
            self._file.close()

    def discard(self) -> None:
        """Close and remove the file."""
        self._file.close()
        self._path.unlink(missing_ok=True)

    def _write(self, data: bytes) -> None:
        """Append `data` whole: what a failure leaves of it is cut off again."""
        try:
            written = 0
            while written < len(data):
                written += self._file.write(memoryview(data)[written:])
        except OSError as error:
            with contextlib.suppress(OSError):  # of the same disk; a reader recognises what is not whole
                self._file.truncate(self.num_bytes)
                self._file.seek(self.num_bytes)
            raise StorageError(
                f"cannot write {self._path} further: {error.strerror}; what was recorded before can be played. Check the disk"
            ) from error
        self.num_bytes += len(data)
