"""A session of `redvillm live`: questions in, answers out, until there is nothing more to come.

Knows the stream, typed input and an output; does not know how things look.
"""

import time
from collections import deque

from redvillm.errors import RedvillmError, StreamClosedError
from redvillm.runtime.alert import Alert, AlertEvent
from redvillm.runtime.answer import Answer
from redvillm.runtime.language_worker import MAX_WAITING_QUESTIONS
from redvillm.runtime.live_output import LiveOutput
from redvillm.runtime.options import GenerationOptions
from redvillm.runtime.standing import StandingQuestion
from redvillm.runtime.stream import LiveStream
from redvillm.runtime.typed_input import TypedInput

_TICK_S = 0.15
_ALERT_EVERY_S = 1.0
_FIRST_LOOK_S = 2.0  # questions put at the start are about more than the first frame
_FIRST_FRAME_S = 10.0


class LiveSession:
    """Runs in the calling thread. Ends at `duration_s`, at the end of the source, or when input and questions are over."""

    def __init__(self, stream: LiveStream, typed: TypedInput, output: LiveOutput, options: GenerationOptions) -> None:
        self._stream = stream
        self._typed = typed
        self._output = output
        self._options = options
        self._open: list[Answer] = []
        self._standing: list[StandingQuestion] = []
        self._alerts: list[Alert] = []
        self._events: list[AlertEvent] = []  # appended by the threads of alerts, taken here
        self._new: list[Answer] = []  # appended by the threads of standing questions, taken here
        self._backlog: deque[str] = deque()  # typed and not yet put
        self._has_asked = False

    def run(self, questions: tuple[str, ...], alerts: tuple[str, ...], every_s: float | None, duration_s: float | None) -> None:
        """Ask `questions`, standing ones with `every_s`, and watch `alerts`; then serve typed questions until the end.

        Raises:
            QuestionError, ContextOverflowError: one of `questions` cannot be asked.
            SourceLostError, BackendError: the source or the perception failed.
        """
        start_s = time.perf_counter()
        end_s = None if duration_s is None else start_s + duration_s
        if questions and every_s is None:
            self._look_first(start_s, end_s)
        for question in questions:
            if every_s is None:
                self._open.append(self._stream.ask(question, options=self._options))
            else:
                self._standing.append(self._stream.ask_every(question, every_s, self._new.append, options=self._options))
        self._alerts = [self._stream.alert(question, every_s or _ALERT_EVERY_S, self._events.append) for question in alerts]
        self._has_asked = bool(questions)
        while not self._is_over(end_s):
            self._tick()
        if end_s is None or time.perf_counter() < end_s:
            self._tick()
        self._tell_unanswered()
        if self._stream.error is not None:
            raise self._stream.error

    def _look_first(self, start_s: float, end_s: float | None) -> None:
        """Show the stream until it has been seen for a moment, has ended, or gives no frame."""
        give_up_s, seen_s = start_s + _FIRST_FRAME_S, None
        while not self._stream.wait_ended(0):
            now_s = time.perf_counter()
            if seen_s is None and self._stream.status.window_frames:
                seen_s = now_s
            if now_s >= (give_up_s if seen_s is None else seen_s + _FIRST_LOOK_S) or (end_s is not None and now_s >= end_s):
                return
            self._tick()

    def _tell_unanswered(self) -> None:
        for answer in [*self._open, *self._new]:
            answer.cancel("the time was up before the answer was complete")
            self._output.finished(answer)
        for question in self._backlog:
            self._output.refused(question, StreamClosedError("the time was up before its turn came"))

    def _tick(self) -> None:
        if self._backlog:  # more was piped in than can wait in the queue: read on when these have been put
            time.sleep(_TICK_S)
        else:
            self._backlog += self._typed.poll(_TICK_S)
        while self._backlog and self._stream.status.questions_waiting < MAX_WAITING_QUESTIONS:
            self._ask(self._backlog.popleft())
        while self._new:
            self._open.append(self._new.pop(0))
        while self._events:
            self._output.changed(self._events.pop(0))
        still_open = []
        for answer in self._open:
            if answer.is_done:
                self._output.finished(answer)
            else:
                still_open.append(answer)
        self._open = still_open
        self._output.show(self._stream.status, self._open, self._typed.line_so_far)

    def _ask(self, question: str) -> None:
        self._has_asked = True
        try:
            self._open.append(self._stream.ask(question, options=self._options))
        except RedvillmError as error:
            self._output.refused(question, error)

    def _is_over(self, end_s: float | None) -> bool:
        if end_s is not None and time.perf_counter() >= end_s:
            return True
        if self._open or self._new or self._backlog or self._events:
            return False
        if self._stream.wait_ended(0):
            return all(standing.is_ended for standing in self._standing) and all(alert.is_ended for alert in self._alerts)
        # piped questions are all answered, and nobody can ask another
        return end_s is None and self._has_asked and not self._standing and not self._alerts and self._typed.is_over
