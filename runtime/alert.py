"""Alerts: a yes/no question asked again and again, told only when its answer changes for good.

`AlertState` is the rule, on probabilities and times alone; `Alert` runs it on a standing question. Does not know streams or models.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from redvillm.errors import OptionsError, RedvillmError
from redvillm.runtime.answer import Answer
from redvillm.runtime.evidence import Evidence
from redvillm.runtime.standing import StandingQuestion

_LOG = logging.getLogger("redvillm")
MAX_UNREAD_EVENTS = 256


@dataclass(frozen=True, kw_only=True)
class AlertOptions:
    """When an alert begins and ends.

    Attributes:
        begin_above: it begins when the probability of yes is at least this.
        end_below: it ends when the probability is below this; the gap between the two is the hysteresis.
        num_agreeing: so many answers in a row must say so.
        cooldown_s: after an end, none begins for so long.

    Raises:
        OptionsError: a value outside its range, or `end_below` above `begin_above`.
    """

    begin_above: float = 0.6
    end_below: float = 0.4
    num_agreeing: int = 2
    cooldown_s: float = 5.0

    def __post_init__(self) -> None:
        for name, legal in (("begin_above", (0.0, 1.0)), ("end_below", (0.0, self.begin_above)), ("cooldown_s", (0.0, 86400.0))):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not legal[0] <= value <= legal[1]:
                raise OptionsError(f"{name} is {value!r:.40}; give a number from {legal[0]:g} to {legal[1]:g}")
        if type(self.num_agreeing) is not int or not 1 <= self.num_agreeing <= 1000:
            raise OptionsError(f"num_agreeing is {self.num_agreeing!r:.40}; give a whole number from 1 to 1000")


@dataclass(frozen=True, kw_only=True)
class AlertEvent:
    """A change of an alert.

    Attributes:
        kind: `begin` or `end`.
        question: what was asked.
        probability: of yes, in the answer that made the change.
        time_s: when, on the clock of time.perf_counter.
        lasted_s: of an end: how long the alert lasted; None at a begin.
        evidence: what that answer rests on.
    """

    kind: Literal["begin", "end"]
    question: str
    probability: float
    time_s: float
    lasted_s: float | None
    evidence: Evidence


class AlertState:
    """The rule: hysteresis, agreement of several answers, cooldown."""

    def __init__(self, options: AlertOptions) -> None:
        self._options = options
        self._num_for_change = 0
        self._not_before_s = float("-inf")
        self.began_s: float | None = None  # while it is on

    def update(self, probability: float, time_s: float) -> Literal["begin", "end"] | None:
        """Take the next answer; return what changed."""
        is_on = self.began_s is not None
        says_change = probability < self._options.end_below if is_on else probability >= self._options.begin_above
        self._num_for_change = self._num_for_change + 1 if says_change else 0
        if self._num_for_change < self._options.num_agreeing or (not is_on and time_s < self._not_before_s):
            return None
        self._num_for_change = 0
        if is_on:
            self.began_s, self._not_before_s = None, time_s + self._options.cooldown_s
            return "end"
        self.began_s = time_s
        return "begin"


class Alert:
    """Iterate it for its events, or give a callback; made by `LiveStream.alert`.

    Attributes:
        error: what ended it early, None otherwise.
        probability: of yes, in the last answer; None before the first.
    """

    def __init__(self, question: str, options: AlertOptions, on_event: Callable[[AlertEvent], object] | None) -> None:
        self.question = question
        self.probability: float | None = None
        self.error: RedvillmError | None = None
        self._state = AlertState(options)
        self._on_event = on_event
        self._condition = threading.Condition()
        self._unread: deque[AlertEvent] = deque(maxlen=MAX_UNREAD_EVENTS)
        self._standing: StandingQuestion | None = None

    def run_on(self, standing: StandingQuestion) -> None:
        """Tell which standing question feeds it; its callback must be `take`."""
        self._standing = standing

    def __iter__(self) -> Iterator[AlertEvent]:
        """Yield the events, waiting for each, until it is stopped or its source ended."""
        while True:
            with self._condition:
                while not self._unread:
                    if self.is_ended:
                        return
                    self._condition.wait(0.1)
                event = self._unread.popleft()
            yield event

    @property
    def is_on(self) -> bool:
        """Whether it has begun and not ended."""
        return self._state.began_s is not None

    @property
    def is_ended(self) -> bool:
        """Whether it will not be asked again."""
        return self._standing is not None and self._standing.is_ended

    def stop(self) -> None:
        """Ask no more."""
        if self._standing is not None:
            self._standing.stop()

    def take(self, answer: Answer) -> None:
        """Take the next answer of the standing question; waits for its end."""
        answer.wait()
        if answer.error is not None or answer.stats.yes_probability is None:
            self.error = answer.error if isinstance(answer.error, RedvillmError) else None
            return
        self.error = None
        self.probability = answer.stats.yes_probability
        time_s = list(answer)[-1].time_s
        began_s = self._state.began_s
        kind = self._state.update(self.probability, time_s)
        if kind is None:
            return
        event = AlertEvent(
            kind=kind,
            question=self.question,
            probability=self.probability,
            time_s=time_s,
            lasted_s=None if began_s is None else time_s - began_s,
            evidence=answer.evidence,
        )
        with self._condition:
            self._unread.append(event)
            self._condition.notify_all()
        if self._on_event is not None:
            try:
                self._on_event(event)
            except Exception:  # the user's code may raise anything; the alert goes on
                _LOG.exception("the callback of the alert %r raised", self.question)
