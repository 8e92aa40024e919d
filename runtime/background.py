"""Background prefill: while nobody asks, the newest snapshot of a stream becomes the visual prefix.

Decides whose snapshot, and when; the language thread computes. Knows intervals and news; does not know decoders.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from redvillm.runtime.evidence import VisualPrefix

_LOG = logging.getLogger("redvillm")


class Subject(Protocol):
    """Something whose visual prefix changes by itself. Called in the language thread."""

    def is_newest(self, prefix: VisualPrefix | None) -> bool:
        """Whether there is nothing newer than `prefix`."""

    def newest_prefix(self) -> VisualPrefix:
        """Return the newest visual prefix."""

    def loaded(self, prefix: VisualPrefix) -> None:
        """`prefix` lies complete in the cache."""


@dataclass(frozen=True)
class _Focus:
    subject: Subject
    interval_s: float


class BackgroundPrefill:
    """Serves the subject that was attached or asked last; the cache holds one visual prefix. A failure ends it until the next `focus`."""

    def __init__(self) -> None:
        self._focus: _Focus | None = None
        self._next_s = 0.0
        self._was_overtaken = False

    def focus(self, subject: Subject, interval_s: float) -> None:
        """Serve `subject` from now on, starting at most once per `interval_s`."""
        current = self._focus
        if current is None or current.subject is not subject or current.interval_s != interval_s:
            self._focus = _Focus(subject, interval_s)

    def leave(self, subject: Subject) -> None:
        """Serve `subject` no more."""
        if self._focus is not None and self._focus.subject is subject:
            self._focus = None

    def due_s(self, loaded: VisualPrefix | None) -> float | None:
        """When the next prefill may start, on the clock of time.perf_counter; None when `loaded`, what the cache holds, is the newest."""
        focus = self._focus
        return None if focus is None or focus.subject.is_newest(loaded) else self._next_s

    def run(self, prefill: Callable[[VisualPrefix, Callable[[], bool]], bool], is_wanted_elsewhere: Callable[[], bool]) -> None:
        """Prefill the newest prefix with `prefill(prefix, should_cancel)`, which returns whether it was completed.

        A question cancels it, and so does a newer snapshot, but that only once in a row: else a machine whose prefill takes longer than a snapshot
        would never complete one.
        """
        focus = self._focus
        if focus is None:
            return
        self._next_s = time.perf_counter() + focus.interval_s
        try:
            prefix = focus.subject.newest_prefix()
            may_be_overtaken = not self._was_overtaken
            overtaken = False

            def should_cancel() -> bool:
                nonlocal overtaken
                if is_wanted_elsewhere() or self._focus is not focus:
                    return True
                overtaken = may_be_overtaken and not focus.subject.is_newest(prefix)
                return overtaken

            if prefill(prefix, should_cancel):
                focus.subject.loaded(prefix)
            self._was_overtaken = overtaken
            if overtaken:
                self._next_s = time.perf_counter()
        except Exception as error:  # nobody waits for it here; the next question meets the same failure and tells
            _LOG.warning("background prefill stopped: %s: %s", type(error).__name__, error)
            self.leave(focus.subject)
