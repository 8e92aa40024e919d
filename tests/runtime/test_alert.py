"""Alerts: the rule on probabilities and times, and the events of a live stream."""

import itertools
import time

import numpy as np
import pytest

from redvillm.errors import OptionsError, QuestionError
from redvillm.runtime.alert import AlertOptions, AlertState


def changes(options, probabilities, step_s=1.0):
    state = AlertState(options)
    return [(index, change) for index, probability in enumerate(probabilities) if (change := state.update(probability, index * step_s))]


def test_it_begins_and_ends_with_hysteresis():
    options = AlertOptions(begin_above=0.6, end_below=0.4, num_agreeing=1, cooldown_s=0)
    assert changes(options, [0.5, 0.59, 0.6, 0.45, 0.4, 0.39, 0.5, 0.7]) == [(2, "begin"), (5, "end"), (7, "begin")]


def test_several_answers_must_agree_in_a_row():
    options = AlertOptions(num_agreeing=3, cooldown_s=0)
    assert changes(options, [0.9, 0.9, 0.1, 0.9, 0.9, 0.9, 0.1, 0.1, 0.5, 0.1, 0.1, 0.1]) == [(5, "begin"), (11, "end")]


def test_after_an_end_nothing_begins_for_a_while():
    options = AlertOptions(num_agreeing=1, cooldown_s=3)
    assert changes(options, [0.9, 0.1, 0.9, 0.9, 0.9, 0.9]) == [(0, "begin"), (1, "end"), (4, "begin")]


@pytest.mark.parametrize(
    "fields",
    [
        {"begin_above": 1.1},
        {"end_below": 0.7},
        {"end_below": -0.1},
        {"num_agreeing": 0},
        {"num_agreeing": 1.5},
        {"cooldown_s": -1},
        {"begin_above": True},
    ],
)
def test_illegal_options_are_refused(fields):
    with pytest.raises(OptionsError, match=next(iter(fields))):
        AlertOptions(**fields)


def frames():
    for index in itertools.count():
        time.sleep(0.005)
        yield np.full((8, 8, 3), index % 256, np.uint8)


def test_events_of_a_stream(open_stream, language, wait_for):
    language.probabilities = [0.1, 0.2, 0.9, 0.9, 0.9, 0.1]
    seen = []

    def remember(event):
        seen.append(event.kind)
        raise RuntimeError("the user's own mistake")

    stream = open_stream(frames())
    alert = stream.alert("is it on fire?", 0.01, remember, options=AlertOptions(num_agreeing=2, cooldown_s=60))
    events = [event for _, event in zip(range(2), alert, strict=False)]
    assert [event.kind for event in events] == ["begin", "end"] == seen
    assert events[0].probability == 0.9
    assert events[0].lasted_s is None
    assert events[1].lasted_s == pytest.approx(events[1].time_s - events[0].time_s)
    assert events[0].evidence.frames_used >= 1
    assert not alert.is_on
    alert.stop()
    wait_for(lambda: alert.is_ended)
    assert list(alert) == []


def test_a_question_that_cannot_be_asked_is_refused_at_once(open_stream):
    with pytest.raises(QuestionError):
        open_stream(frames()).alert(" ", 1.0)
