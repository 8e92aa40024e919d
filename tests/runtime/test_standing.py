"""Standing questions: pace, callbacks that are slow or raise, and endings."""

import logging
import threading
import time

import numpy as np

from redvillm.runtime import standing as module


def frames(period_s=0.003):
    while True:
        time.sleep(period_s)
        yield np.zeros((4, 4, 3), np.uint8)


def test_answers_come_again_and_again(open_stream):
    stream = open_stream(frames(), max_evidence_age_ms=0)
    standing = stream.ask_every("what", 0.02)
    answers = [answer for _, answer in zip(range(4), standing, strict=False)]
    versions = [answer.evidence.snapshot_version for answer in answers]
    assert versions == sorted(set(versions))
    assert standing.question == "what"
    standing.stop()
    assert standing.join(2)
    assert standing.is_ended


def test_a_callback_gets_each_answer_and_may_iterate_it(open_stream, wait_for):
    stream = open_stream(frames())
    texts, names = [], set()

    def on_answer(answer):
        names.add(threading.current_thread().name)
        texts.append("".join(piece.text for piece in answer))

    standing = stream.ask_every("what", 0.01, on_answer)
    wait_for(lambda: len(texts) >= 3)
    assert set(texts[1:]) == {"echo what about 10 "} or all(text.startswith("echo what") for text in texts)
    assert names == {"redvillm-standing"}
    assert standing.callback_error is None


def test_a_callback_that_raises_is_reported_and_hangs_nothing(open_stream, wait_for, caplog):
    stream = open_stream(frames())

    def on_answer(answer):
        raise KeyError("mine")

    with caplog.at_level(logging.ERROR, "redvillm"):
        standing = stream.ask_every("what", 0.01, on_answer)
        wait_for(lambda: standing.num_asked >= 3)
    assert isinstance(standing.callback_error, KeyError)
    assert "callback of the standing question 'what' raised" in caplog.text
    assert stream.ask("other").text


def test_a_slow_callback_delays_only_itself(open_stream, wait_for):
    stream = open_stream(frames())
    release = threading.Event()
    standing = stream.ask_every("slow", 0.0, lambda answer: release.wait(10))
    wait_for(lambda: standing.num_asked == 1)
    assert stream.ask("quick").text
    start_s = time.perf_counter()
    stream.close()
    assert time.perf_counter() - start_s < 2.0
    release.set()
    assert standing.join(2)


def test_unread_answers_are_bounded(open_stream, wait_for, monkeypatch):
    monkeypatch.setattr(module, "MAX_UNREAD_ANSWERS", 2)
    stream = open_stream(frames())
    standing = stream.ask_every("what", 0.0)
    wait_for(lambda: standing.num_forgotten >= 2)
    standing.stop()
    assert standing.join(2)
    assert len(list(standing)) <= 2


def test_after_the_end_of_the_source_it_is_asked_once_more(open_stream):
    stream = open_stream([np.zeros((4, 4, 3), np.uint8)] * 2)
    assert stream.wait_ended(5)
    standing = stream.ask_every("what was it", 0.01)
    assert standing.join(5)
    assert standing.num_asked == 1
    assert next(answer.text for answer in standing).startswith("echo what was it")


def test_a_closed_model_ends_it_with_its_reason(open_stream, worker, wait_for):
    stream = open_stream(frames())
    standing = stream.ask_every("what", 0.01)
    wait_for(lambda: standing.num_asked >= 1)
    worker.close()
    assert standing.join(5)
    assert standing.error is not None
