"""The language thread and its answers: order, reuse of the prefix, readers of all kinds, errors and endings."""

import threading
import time

import numpy as np
import pytest

from redvillm.errors import BackendError, ContextOverflowError, QuestionError, StreamClosedError
from redvillm.runtime.evidence import Evidence, Grounds, VisualPrefix
from redvillm.runtime.language_worker import MAX_WAITING_QUESTIONS, Ask, LanguageWorker
from redvillm.runtime.options import GenerationOptions
from redvillm.runtime.timings import PerceptionTimings

OPTIONS = GenerationOptions(max_new_tokens=8)
STAGES = PerceptionTimings(decode_ms=1, preprocess_ms=2, encode_ms=3, pool_ms=4, align_ms=5, wall_ms=6)


def grounds_of(num_tokens=5):
    return Grounds(prefix=VisualPrefix((np.zeros((num_tokens, 4), np.float32),)), evidence=Evidence(frames_used=2), timings=STAGES)


def ask(worker, question, grounds, *, wait=True):
    return worker.submit(Ask(question=question, options=OPTIONS), lambda _: grounds, asked_s=time.perf_counter(), wait=wait)


def test_an_answer_comes_in_pieces_with_figures(worker, language):
    answer = ask(worker, "what", grounds_of())
    pieces = list(answer)
    assert "".join(piece.text for piece in pieces) == answer.text == "echo what about 5 "
    assert list(answer) == pieces  # again from the start
    assert answer.evidence.frames_used == 2
    assert answer.stats.num_new_tokens == len(pieces) == 4
    assert (answer.stats.num_visual_tokens, answer.stats.num_prefix_tokens, answer.stats.finish) == (5, 8, "stop")
    assert answer.stats.options is OPTIONS
    timings = answer.timings
    assert timings.encode_ms == 3
    assert 0 <= timings.queue_ms <= timings.ttft_ms <= timings.total_ms
    assert timings.frame_to_first_token_ms is None
    assert answer.is_done
    assert answer.error is None
    assert language.thread_names == {"redvillm-language"}


def test_questions_about_one_thing_prefill_once(worker, language):
    first, second = grounds_of(5), grounds_of(5)
    answers = [ask(worker, "a", grounds) for grounds in (first, first, second, first)]
    assert [answer.stats.prefix_reused for answer in answers] == [False, True, False, False]
    assert len(language.prefilled) == 3
    assert answers[1].timings.prefill_ms == 0


def test_a_consumer_that_does_not_read_holds_nothing_up(worker):
    unread = ask(worker, "a", grounds_of())
    iterator = iter(ask(worker, "b", grounds_of()))
    next(iterator)  # and never again
    assert ask(worker, "c", grounds_of()).text.startswith("echo c")
    assert unread.wait(5)


def test_several_threads_read_one_answer(worker, language):
    language.delay_s = 0.002
    answer = ask(worker, "a", grounds_of())
    texts = []
    readers = [threading.Thread(target=lambda: texts.append("".join(piece.text for piece in answer))) for _ in range(5)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join(5)
    assert texts == [answer.text] * 5


def test_a_failing_model_fails_the_answer_and_not_the_next(worker, language):
    grounds = grounds_of()
    ask(worker, "a", grounds).wait(5)
    language.error = RuntimeError("no memory")
    answer = ask(worker, "b", grounds)
    with pytest.raises(BackendError, match="no memory"):
        list(answer)
    with pytest.raises(BackendError):
        _ = answer.text
    assert isinstance(answer.error, BackendError)
    language.error = None
    after = ask(worker, "c", grounds)
    assert after.text
    assert not after.stats.prefix_reused  # what the failure left in the cache is not trusted


def test_an_error_of_ours_keeps_its_kind(worker):
    def overflow(turn):
        raise ContextOverflowError("too long")

    answer = worker.submit(Ask(question="a", options=OPTIONS), overflow, asked_s=0.0, wait=True)
    with pytest.raises(ContextOverflowError):
        _ = answer.evidence


def test_a_cancelled_answer_ends_soon_and_the_next_one_comes(worker, language):
    language.delay_s = 0.01
    slow = ask(worker, "a b c d e f g h", grounds_of())
    next(iter(slow))
    slow.cancel()
    with pytest.raises(StreamClosedError, match="cancelled"):
        list(slow)
    assert ask(worker, "z", grounds_of()).text
    assert slow.text_so_far.startswith("echo")


def test_the_queue_is_bounded(worker):
    gate = threading.Event()

    def held(turn):
        gate.wait(5)
        return grounds_of()

    first = worker.submit(Ask(question="a", options=OPTIONS), held, asked_s=0.0, wait=False)
    while worker.num_waiting:  # until the first is being answered
        time.sleep(0.001)
    waiting = [ask(worker, "b", grounds_of(), wait=False) for _ in range(MAX_WAITING_QUESTIONS)]
    with pytest.raises(QuestionError, match=f"{MAX_WAITING_QUESTIONS} questions wait"):
        ask(worker, "c", grounds_of(), wait=False)
    threading.Timer(0.05, gate.set).start()
    late = ask(worker, "d", grounds_of(), wait=True)
    assert all(answer.wait(5) for answer in (first, *waiting, late))


def test_closing_ends_within_a_second_and_fails_what_is_unanswered(language):
    language.delay_s = 0.05
    worker = LanguageWorker(language)
    answers = [ask(worker, "a b c d e f g h", grounds_of()) for _ in range(3)]
    next(iter(answers[0]))
    start_s = time.perf_counter()
    assert worker.close()
    assert time.perf_counter() - start_s < 1.0
    for answer in answers:
        assert answer.wait(1)
        assert isinstance(answer.error, StreamClosedError)
    with pytest.raises(StreamClosedError):
        ask(worker, "late", grounds_of())
    assert worker.close()


def test_grounds_that_wait_are_told_to_give_up(language):
    worker = LanguageWorker(language)
    begun = threading.Event()

    def waiting(turn):
        begun.set()
        while not turn.give_up():
            time.sleep(0.005)
        raise StreamClosedError("gave up")

    answer = worker.submit(Ask(question="a", options=OPTIONS), waiting, asked_s=0.0, wait=True)
    assert begun.wait(5)
    assert worker.close()
    assert isinstance(answer.error, StreamClosedError)


def test_a_model_without_a_token_is_a_broken_bundle(worker, language, monkeypatch):
    monkeypatch.setattr(language, "generate", lambda question, options, draft: iter(()))
    with pytest.raises(BackendError, match="no token"):
        _ = ask(worker, "a", grounds_of()).text


def test_waiting_has_a_limit(worker, language):
    language.delay_s = 0.2
    answer = ask(worker, "a", grounds_of())
    assert not answer.wait(0.01)
    assert not answer.is_done
