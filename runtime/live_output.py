"""What `redvillm live` shows: plain lines for a log, or one JSON document per line. The view for terminals is in live_view.

Knows answers and status; does not know where questions come from.
"""

import json
import time
from typing import Any, Protocol, TextIO

from redvillm.runtime.alert import AlertEvent
from redvillm.runtime.answer import Answer
from redvillm.runtime.health import SourceState
from redvillm.runtime.report import answer_document, answer_lines, event_document, event_line, evidence_line, recording_line, status_document
from redvillm.runtime.stream_status import StreamStatus

_STATUS_EVERY_S = 1.0


class LiveOutput(Protocol):
    """A way to show a live stream."""

    def show(self, status: StreamStatus, answers: list[Answer], typed: str) -> None:
        """Called several times a second with the unfinished answers and the line being typed."""

    def finished(self, answer: Answer) -> None:
        """An answer is complete or has failed."""

    def changed(self, event: AlertEvent) -> None:
        """An alert began or ended."""

    def refused(self, question: str, error: Exception) -> None:
        """A question was not taken."""


class JsonOutput:
    """One JSON document per line, its `type` one of answer, alert, refused, and status every second."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._next_status_s = 0.0

    def show(self, status: StreamStatus, answers: list[Answer], typed: str) -> None:  # noqa: ARG002
        """Write the status once a second."""
        now_s = time.perf_counter()
        if now_s >= self._next_status_s:
            self._next_status_s = now_s + _STATUS_EVERY_S
            self._write({"type": "status"} | status_document(status))

    def finished(self, answer: Answer) -> None:
        """Write the answer."""
        self._write({"type": "answer"} | answer_document(answer))

    def changed(self, event: AlertEvent) -> None:
        """Write the event."""
        self._write({"type": "alert"} | event_document(event))

    def refused(self, question: str, error: Exception) -> None:
        """Write why."""
        self._write({"type": "refused", "question": question, "error": {"type": type(error).__name__, "message": str(error)}})

    def _write(self, document: dict[str, Any]) -> None:
        # ASCII, because a question may hold lone surrogates
        self._out.write(json.dumps(document, allow_nan=False) + "\n")
        self._out.flush()


class PlainOutput:
    """Lines of text: changes of the source's state and the end of a recording, questions and answers."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._state: SourceState | None = None
        self._told_stop = False

    def show(self, status: StreamStatus, answers: list[Answer], typed: str) -> None:  # noqa: ARG002
        """Write the source's state when it changes, and once why a recording stopped."""
        if status.state is not self._state:
            self._state = status.state
            self._write(f"[{status.state}] {status.message}")
        if status.recording is not None and status.recording.stopped is not None and not self._told_stop:
            self._told_stop = True
            self._write(f"[recording] {recording_line(status.recording)}")

    def finished(self, answer: Answer) -> None:
        """Write question, answer and figures."""
        self._write(f"> {answer.question}", answer.text_so_far.strip(), *(f"  {line}" for line in answer_lines(answer)))

    def changed(self, event: AlertEvent) -> None:
        """Write the event."""
        self._write(event_line(event), f"  {evidence_line(event.evidence)}")

    def refused(self, question: str, error: Exception) -> None:
        """Write why."""
        self._write(f"> {question:.200}", f"  not asked: {error}")

    def _write(self, *lines: str) -> None:
        text = "\n".join(line for line in lines if line)
        self._out.write(text.encode("utf-8", "backslashreplace").decode("utf-8") + "\n")
        self._out.flush()
