"""An answer: a lazy iterator of pieces, with its evidence and timings.

Any thread may read it, several may, and one that stops reading holds nothing up. Does not know how answers are made.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from redvillm.errors import StreamClosedError
from redvillm.runtime.answer_buffer import AnswerBuffer
from redvillm.runtime.answer_stats import AnswerStats
from redvillm.runtime.evidence import Evidence
from redvillm.runtime.timings import Timings

if TYPE_CHECKING:
    from redvillm.runtime.language import TokenPiece


class Answer:
    """The answer to one question.

    Iterate it for the pieces as they come (again for all of them from the start). `text`, `timings`, `stats` wait for the end, `evidence`
    for the beginning; all of them raise what made the answer fail, a RedvillmError.
    """

    def __init__(self, question: str, buffer: AnswerBuffer) -> None:
        self.question = question
        self._buffer = buffer

    def __iter__(self) -> Iterator["TokenPiece"]:
        """Yield pieces, waiting for each; raises the answer's error after the last piece of a failed answer."""
        return self._buffer.pieces()

    @property
    def text(self) -> str:
        """The whole text; waits for the end."""
        self._buffer.wait_result()
        return self._buffer.text()

    @property
    def text_so_far(self) -> str:
        """The text that has come; does not wait and does not raise."""
        return self._buffer.text()

    @property
    def evidence(self) -> Evidence:
        """What the answer rests on; waits until it is begun."""
        return self._buffer.wait_evidence()

    @property
    def timings(self) -> Timings:
        """Where the time went; waits for the end."""
        return self._buffer.wait_result()[0]

    @property
    def stats(self) -> AnswerStats:
        """Counts and effective settings; waits for the end."""
        return self._buffer.wait_result()[1]

    @property
    def is_done(self) -> bool:
        """Whether it is complete or failed."""
        return self._buffer.is_done

    @property
    def error(self) -> BaseException | None:
        """What made it fail; None while it is made and when it is complete."""
        return self._buffer.error

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for the end, at most `timeout_s` seconds; return whether it came. Does not raise the answer's error."""
        return self._buffer.wait_done(timeout_s)

    def cancel(self, reason: str = "the answer was cancelled") -> None:
        """Give the answer up: the model stops at the next token, and reading it further raises StreamClosedError with `reason`."""
        self._buffer.cancel()
        self._buffer.fail(StreamClosedError(reason))
