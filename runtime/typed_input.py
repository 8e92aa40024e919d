"""Questions typed at the terminal, or piped in, without a thread and without blocking.

On a terminal, keys are taken one by one (so that a live view can show the line being typed) and its settings are restored on exit.
Knows standard input; does not know what is done with a line.
"""

import contextlib
import os
import re
import select
import sys
import termios
import tty
from types import TracebackType
from typing import Self

_MAX_LINE_BYTES = 64 << 10
_END_OF_INPUT = b"\x04"
_ESCAPES = re.compile(rb"\x1b(\[[0-9;?]*[ -/]*[@-~]|O.|.)?")


class TypedInput:
    """Lines of standard input; `is_over` once no more can come. Use as a context manager."""

    def __init__(self) -> None:
        self.is_over = False
        self._pending = b""
        self._fd = _standard_input()
        self._saved: list[object] | None = None
        if self._fd is None:
            self.is_over = True

    @property
    def is_terminal(self) -> bool:
        """Whether a person can type."""
        return self._fd is not None and os.isatty(self._fd)

    @property
    def line_so_far(self) -> str:
        """What has been typed of the next line."""
        return self._pending.decode("utf-8", "replace")

    def __enter__(self) -> Self:
        if self._fd is not None and self.is_terminal:
            self._saved = termios.tcgetattr(self._fd)
            tty.setcbreak(self._fd)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._saved is not None and self._fd is not None:
            with contextlib.suppress(termios.error):  # the terminal was closed
                termios.tcsetattr(self._fd, termios.TCSADRAIN, self._saved)  # type: ignore[arg-type]

    def poll(self, timeout_s: float) -> list[str]:
        """Wait at most `timeout_s` for input; return the complete lines, without blanks. Bytes that are not UTF-8 become lone surrogates."""
        if self.is_over or self._fd is None:
            select.select([], [], [], timeout_s)
            return []
        if not select.select([self._fd], [], [], timeout_s)[0]:
            return []
        try:
            data = os.read(self._fd, 4096)
        except OSError:  # the terminal went away
            data = b""
        return self._take(data)

    def _take(self, data: bytes) -> list[str]:
        typed = self.is_terminal
        if not data or (typed and _END_OF_INPUT in data and not self._pending):
            self.is_over = True
            rest, self._pending = self._pending, b""
            return _texts([rest])
        self._pending = _edited(self._pending, data) if typed else self._pending + data
        *lines, self._pending = self._pending.replace(b"\r", b"\n").split(b"\n")
        if len(self._pending) > _MAX_LINE_BYTES:  # far longer than any legal question: let the check of questions say so
            lines.append(self._pending)
            self._pending = b""
        return _texts(lines)


def _edited(line: bytes, keys: bytes) -> bytes:
    """Apply keys to the line being typed: backspace, Ctrl-U, Ctrl-W; cursor and function keys are ignored."""
    text = line.decode("utf-8", "surrogateescape")
    for key in _ESCAPES.sub(b"", keys).decode("utf-8", "surrogateescape"):
        if key in "\x7f\b":
            text = text[:-1]
        elif key == "\x15":
            text = ""
        elif key == "\x17":
            text = text.rstrip().rpartition(" ")[0]
        elif key in "\r\n" or key >= " ":
            text += key
    return text.encode("utf-8", "surrogateescape")


def _texts(lines: list[bytes]) -> list[str]:
    return [text for line in lines if (text := line.decode("utf-8", "surrogateescape").strip())]


def _standard_input() -> int | None:
    try:
        return None if sys.stdin is None or sys.stdin.closed else sys.stdin.fileno()
    except (OSError, ValueError):
        return None
