"""A standing question: asked again and again about the newest frames, until it is stopped. Each answer drafts the next one.

Its own thread asks, waits for the answer to end, and calls the user's callback, which may be slow or raise without holding up anything
else. Knows asking; does not know streams or models.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator

from redvillm.errors import OptionsError, QuestionError, RedvillmError
from redvillm.runtime.answer import Answer

_LOG = logging.getLogger("redvillm")
_POLL_S = 0.1
MAX_UNREAD_ANSWERS = 16


class StandingQuestion:
    """Iterate it for the answers, or give a callback. Unread answers beyond MAX_UNREAD_ANSWERS are forgotten, oldest first.

    Attributes:
        num_asked: answers begun.
        num_forgotten: unread answers that were forgotten.
        error: what ended it early, None otherwise.
        callback_error: the last exception of the callback.
    """

    def __init__(
        self,
        question: str,
        every_s: float,
        ask: Callable[[tuple[int, ...]], Answer],
        on_answer: Callable[[Answer], object] | None,
        is_over: Callable[[], bool],
    ) -> None:
        """Start asking.

        Args:
            question: for display.
            every_s: seconds between the starts of two answers, 0 to 86400; a late answer delays the next one.
            ask: puts the question, with the tokens of the last answer as a draft of this one.
            on_answer: called with each answer as it begins; it may iterate it.
            is_over: whether no more frames will come, so that asking again is pointless.

        Raises:
            OptionsError: `every_s` outside its range.
        """
        if isinstance(every_s, bool) or not isinstance(every_s, int | float) or not 0 <= every_s <= 86400:
            raise OptionsError(f"every_s is {every_s!r:.40}; give seconds from 0 (without a pause) to 86400")
        self.question = question
        self.num_asked = 0
        self.num_forgotten = 0
        self.error: RedvillmError | None = None
        self.callback_error: Exception | None = None
        self._every_s = every_s
        self._ask = ask
        self._last_ids: tuple[int, ...] = ()
        self._on_answer = on_answer
        self._is_over = is_over
        self._stop = threading.Event()
        self._condition = threading.Condition()
        self._unread: deque[Answer] = deque()
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="redvillm-standing", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[Answer]:
        """Yield answers as they begin, until it is stopped or its source ended; each answer once, whoever reads."""
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._unread or self._ended)
                if not self._unread:
                    return
                answer = self._unread.popleft()
            yield answer

    @property
    def is_ended(self) -> bool:
        """Whether it will not be asked again."""
        with self._condition:
            return self._ended

    def stop(self) -> None:
        """Ask no more; an answer that is being made is completed."""
        self._stop.set()

    def join(self, timeout_s: float | None = None) -> bool:
        """Wait until it ended; return whether it did. A callback that does not return keeps it from ending."""
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            due_s = time.perf_counter()
            while not self._stop.wait(max(0.0, due_s - time.perf_counter())):
                was_over = self._is_over()
                due_s = max(due_s + self._every_s, time.perf_counter())
                self._ask_once()
                if was_over:
                    return
        except RedvillmError as error:
            self.error = error
        finally:
            with self._condition:
                self._ended = True
                self._condition.notify_all()

    def _ask_once(self) -> None:
        try:
            answer = self._ask(self._last_ids)
        except QuestionError as error:
            if self.num_asked:  # it was fine before, so the queue is full: skip this turn
                _LOG.warning("standing question skipped: %s", error)
                self._stop.wait(_POLL_S)
                return
            raise
        self.num_asked += 1
        self._publish(answer)
        if self._on_answer is not None:
            self._call_back(self._on_answer, answer)
        while not answer.wait(_POLL_S) and not self._stop.is_set():
            pass
        if answer.is_done and answer.error is None:
            self._last_ids = tuple(piece.token_id for piece in answer)

    def _publish(self, answer: Answer) -> None:
        with self._condition:
            self._unread.append(answer)
            if len(self._unread) > MAX_UNREAD_ANSWERS:
                self._unread.popleft()
                self.num_forgotten += self._on_answer is None
            self._condition.notify_all()

    def _call_back(self, on_answer: Callable[[Answer], object], answer: Answer) -> None:
        try:
            on_answer(answer)
        except Exception as error:  # the user's code may raise anything; the stream goes on
            self.callback_error = error
            _LOG.exception("the callback of the standing question %r raised", self.question)
