"""Where the language thread leaves an answer, piece by piece, and readers find it.

The writer never waits for a reader: the buffer holds the whole answer, which `max_new_tokens` bounds. Knows hand-over between
threads; does not know models.
"""

import threading
from collections.abc import Generator
from typing import TYPE_CHECKING

from redvillm.runtime.answer_stats import AnswerStats
from redvillm.runtime.evidence import Evidence
from redvillm.runtime.timings import Timings

if TYPE_CHECKING:
    from redvillm.runtime.language import TokenPiece


class AnswerBuffer:
    """State of one answer: waiting, begun, done or failed. The language thread writes, any thread reads."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._pieces: list[TokenPiece] = []
        self._evidence: Evidence | None = None
        self._timings: Timings | None = None
        self._stats: AnswerStats | None = None
        self._error: BaseException | None = None
        self._done = False
        self._cancelled = False

    @property
    def is_done(self) -> bool:
        """Whether the answer is complete or failed."""
        with self._condition:
            return self._done

    @property
    def is_cancelled(self) -> bool:
        """Whether nobody wants the rest."""
        with self._condition:
            return self._cancelled

    def cancel(self) -> None:
        """Tell the writer that nobody wants the rest."""
        with self._condition:
            self._cancelled = True

    def begin(self, evidence: Evidence) -> None:
        """Writer: the answer rests on `evidence`."""
        with self._condition:
            self._evidence = evidence
            self._condition.notify_all()

    def add(self, piece: "TokenPiece") -> None:
        """Writer: the next piece."""
        with self._condition:
            self._pieces.append(piece)
            self._condition.notify_all()

    def finish(self, timings: Timings, stats: AnswerStats) -> None:
        """Writer: the answer is complete. Ignored after `fail`."""
        with self._condition:
            if not self._done:
                self._timings, self._stats, self._done = timings, stats, True
                self._condition.notify_all()

    def fail(self, error: BaseException) -> None:
        """Writer, or whoever ends the writer: there will be no more. Ignored when the answer is done."""
        with self._condition:
            if not self._done:
                self._error, self._done = error, True
                self._condition.notify_all()

    def pieces(self) -> Generator["TokenPiece", None, None]:
        """Yield the pieces from the first on, waiting for those to come; raise the error of a failed answer after its last piece."""
        index = 0
        while True:
            with self._condition:
                self._condition.wait_for(lambda: len(self._pieces) > index or self._done)  # noqa: B023 - called before index changes
                if index == len(self._pieces):
                    if self._error is not None:
                        raise self._error
                    return
                piece = self._pieces[index]
            index += 1
            yield piece

    def text(self) -> str:
        """Return the text so far."""
        with self._condition:
            return "".join(piece.text for piece in self._pieces)

    def wait_done(self, timeout_s: float | None) -> bool:
        """Wait for the end; return whether it came. Does not raise the answer's error."""
        with self._condition:
            return self._condition.wait_for(lambda: self._done, timeout_s)

    def wait_evidence(self) -> Evidence:
        """Wait until the answer is begun; return its evidence or raise its error."""
        with self._condition:
            self._condition.wait_for(lambda: self._evidence is not None or self._done)
            if self._evidence is None:
                raise self._error or AssertionError("an answer ended without evidence")
            return self._evidence

    def wait_result(self) -> tuple[Timings, AnswerStats]:
        """Wait for the end; return timings and stats or raise the answer's error."""
        with self._condition:
            self._condition.wait_for(lambda: self._done)
            if self._error is not None:
                raise self._error
            assert self._timings is not None and self._stats is not None
            return self._timings, self._stats

    @property
    def error(self) -> BaseException | None:
        """The error of a failed answer."""
        with self._condition:
            return self._error
