"""The state of a live source, visible from any thread.

Knows states and errors; does not know how the source is read.
"""

import threading
from dataclasses import dataclass
from enum import StrEnum

from redvillm.errors import RedvillmError


class SourceState(StrEnum):
    """Where a live source stands."""

    OPENING = "opening"
    RUNNING = "running"
    STALLED = "stalled"  # open, and silent for a while
    RECONNECTING = "reconnecting"
    ENDED = "ended"  # a file or an iterator came to its regular end
    FAILED = "failed"
    CLOSED = "closed"


_FINAL = {SourceState.ENDED, SourceState.FAILED, SourceState.CLOSED}


@dataclass(frozen=True)
class HealthReport:
    """State, a sentence about it, and the error of a failed source."""

    state: SourceState
    message: str
    error: RedvillmError | None = None

    @property
    def is_final(self) -> bool:
        """Whether no more frames will come."""
        return self.state in _FINAL


class SourceHealth:
    """Holds the newest report. A final state stays, but for a failure of what still reads the last frames after the regular end."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._report = HealthReport(SourceState.OPENING, "opening")
        self._was_opened = False

    @property
    def report(self) -> HealthReport:
        """The newest report."""
        with self._condition:
            return self._report

    def set(self, state: SourceState, message: str) -> None:
        """Change the state, unless it is final."""
        self._change(HealthReport(state, message))

    def fail(self, error: RedvillmError) -> None:
        """The source, or what reads it, cannot go on."""
        self._change(HealthReport(SourceState.FAILED, str(error), error))

    def wait_opened(self, timeout_s: float) -> bool:
        """Wait until the source was opened or cannot be, at most `timeout_s`; return whether it was opened, whatever came after."""
        with self._condition:
            self._condition.wait_for(lambda: self._report.state is not SourceState.OPENING, timeout_s)
            return self._was_opened

    def wait_final(self, timeout_s: float | None) -> HealthReport:
        """Wait until no more frames will come, or for `timeout_s`; return the report."""
        with self._condition:
            self._condition.wait_for(lambda: self._report.is_final, timeout_s)
            return self._report

    def _change(self, report: HealthReport) -> None:
        with self._condition:
            fails_late = report.state is SourceState.FAILED and self._report.state is SourceState.ENDED
            if fails_late or not self._report.is_final:
                self._report = report
                self._was_opened |= report.state is SourceState.RUNNING
                self._condition.notify_all()
