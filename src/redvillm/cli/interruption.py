"""Ctrl-C: clean up for a moment, then leave, whatever a library is busy with. Knows signals; does not know commands."""

import contextlib
import os
import signal
import sys
import threading
from types import FrameType, TracebackType
from typing import Never, Self

EXIT_INTERRUPTED = 128 + signal.SIGINT
_LAST_MOMENT_S = 0.75  # of the second within which Ctrl-C ends a command


class Interruption:
    """While it is entered, the first Ctrl-C raises KeyboardInterrupt and allows a moment to clean up; a second one leaves at once.

    After an interruption the process ends without Python's own tidying up, which threads inside libraries can hold up.

    Attributes:
        came: whether there was a Ctrl-C, also where a library swallowed the KeyboardInterrupt.
    """

    def __init__(self) -> None:
        self.came = False
        self._told = False
        self._is_installed = False

    def __enter__(self) -> Self:
        # another handler, or a thread: whoever called this deals with Ctrl-C
        is_ours = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        if is_ours:
            signal.signal(signal.SIGINT, self._interrupt)
            self._is_installed = True
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._is_installed and not self.came:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def settle(self) -> int:
        """Say so and end the process, for all cleaning up was done on the way here; return the exit status where Ctrl-C is the caller's."""
        if self._is_installed:
            self._limit()  # flushing waits for a reader that may be stopped
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(OSError):
                    stream.flush()
            self._leave()
        self._tell()
        return EXIT_INTERRUPTED

    def _limit(self) -> None:
        if not self.came:
            self.came = True
            signal.signal(signal.SIGALRM, lambda *_: self._leave())
            signal.setitimer(signal.ITIMER_REAL, _LAST_MOMENT_S)

    def _tell(self) -> None:
        if not self._told:
            self._told = True
            with contextlib.suppress(OSError):
                os.write(2, b"redvillm: interrupted\n")

    def _interrupt(self, _signal: int, _frame: FrameType | None) -> None:
        if self.came:
            self._leave()
        self._limit()
        raise KeyboardInterrupt

    def _leave(self) -> Never:
        self._tell()
        os._exit(EXIT_INTERRUPTED)
