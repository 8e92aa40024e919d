"""Background prefill: what a question finds in the cache, who may interrupt whom, and what a failure leaves."""

import itertools
import threading
import time

import numpy as np
import pytest

from redvillm.errors import BackendError, OptionsError
from redvillm.runtime.evidence import Evidence, Grounds, VisualPrefix
from redvillm.runtime.language_worker import Ask
from redvillm.runtime.options import GenerationOptions
from redvillm.runtime.timings import PerceptionTimings

STAGES = PerceptionTimings(decode_ms=0, preprocess_ms=0, encode_ms=0, pool_ms=0, align_ms=0, wall_ms=0)
OPTIONS = GenerationOptions(max_new_tokens=8)


class FakeSubject:
    """Its newest prefix is replaced by `change`."""

    def __init__(self):
        self.newest = None
        self.loaded_prefixes = []
        self.error = None

    def change(self):
        self.newest = VisualPrefix((np.zeros((3, 4), np.float32),))

    def is_newest(self, prefix):
        return prefix is self.newest

    def newest_prefix(self):
        if self.error is not None:
            raise self.error
        return self.newest

    def loaded(self, prefix):
        self.loaded_prefixes.append(prefix)


@pytest.fixture
def prefix():
    return VisualPrefix((np.zeros((3, 4), np.float32),))


def ask(worker, prefix, **fields):
    grounds = Grounds(prefix=prefix, evidence=Evidence(frames_used=1), timings=STAGES)
    return worker.submit(Ask(question="what", options=OPTIONS, **fields), lambda _: grounds, asked_s=time.perf_counter(), wait=True)


@pytest.fixture
def subject(worker):
    subject = FakeSubject()
    worker.focus(subject, 0.0)
    return subject


def test_a_question_finds_the_newest_prefix_in_the_cache(worker, subject, language, wait_for):
    for count in range(1, 4):
        subject.change()
        worker.wake()
        wait_for(lambda count=count: len(subject.loaded_prefixes) == count)
        assert ask(worker, subject.newest).stats.prefix_reused
    assert len(language.prefilled) == 3


def test_nothing_is_prefilled_twice_and_nothing_without_news(worker, subject, language, wait_for):
    subject.change()
    for _ in range(5):
        worker.wake()
    wait_for(lambda: subject.loaded_prefixes)
    for _ in range(5):
        worker.wake()
        time.sleep(0.01)
    assert len(language.prefilled) == 1


def test_the_interval_is_kept(worker, language, wait_for):
    subject = FakeSubject()
    subject.change()
    worker.focus(subject, 0.2)
    wait_for(lambda: subject.loaded_prefixes)
    start_s = time.perf_counter()
    subject.change()
    worker.wake()
    wait_for(lambda: len(subject.loaded_prefixes) == 2)
    assert time.perf_counter() - start_s > 0.1


def test_a_question_cancels_a_prefill_and_it_is_made_up_for(worker, subject, language, wait_for):
    language.num_slices, language.slice_s = 1000, 0.01
    subject.change()
    worker.wake()
    time.sleep(0.05)
    language_thread = ask(worker, VisualPrefix((np.zeros((2, 4), np.float32),)))
    wait_for(lambda: language.num_cancelled == 1)
    language.num_slices = 1
    assert language_thread.wait(20)
    wait_for(lambda: subject.loaded_prefixes, "the prefill that was cancelled")


def test_a_newer_snapshot_cancels_a_prefill_but_not_two_in_a_row(worker, subject, language, wait_for):
    language.num_slices, language.slice_s = 20, 0.005
    stop = threading.Event()

    def change_all_the_time():
        while not stop.wait(0.02):
            subject.change()
            worker.wake()

    changer = threading.Thread(target=change_all_the_time)
    changer.start()
    try:
        wait_for(lambda: len(subject.loaded_prefixes) >= 2, "a prefill under constant change")
        assert language.num_cancelled >= 1
    finally:
        stop.set()
        changer.join()


@pytest.mark.parametrize("error", [BackendError("no alignment"), RuntimeError("no memory")])
def test_a_failure_ends_the_prefills_and_not_the_thread(worker, subject, language, error, caplog):
    subject.change()
    subject.error = error
    worker.wake()
    assert ask(worker, subject.newest).text.startswith("echo what")
    assert not subject.loaded_prefixes
    subject.error = None
    time.sleep(0.02)
    assert not subject.loaded_prefixes


def test_who_left_is_not_served(worker, subject, language):
    worker.leave(subject)
    subject.change()
    worker.wake()
    time.sleep(0.05)
    assert not language.prefilled


def test_a_draft_is_passed_on_and_counted(worker, language, prefix):
    first = ask(worker, prefix)
    again = ask(worker, prefix, draft=(0, 1, 9))
    assert again.wait(5)
    assert language.drafts == [(), (0, 1, 9)]
    assert (first.stats.num_draft_tokens, first.stats.num_accepted_tokens) == (0, 0)
    assert (again.stats.num_draft_tokens, again.stats.num_accepted_tokens) == (3, 2)


def test_a_judged_question_is_one_word_and_a_probability(worker, language, prefix):
    language.probabilities = [0.83]
    answer = ask(worker, prefix, is_judged=True)
    assert answer.text == "Yes"
    assert answer.stats.yes_probability == 0.83
    assert answer.stats.num_new_tokens == 1


def frames(period_s=0.01):
    for index in itertools.count():
        time.sleep(period_s)
        yield np.full((8, 8, 3), index % 256, np.uint8)


def test_a_live_question_pays_for_its_own_tokens_only(open_stream, wait_for):
    stream = open_stream(frames(), prefill_every_s=0.0)
    wait_for(lambda: stream.status.window_frames == 4)
    time.sleep(0.1)
    answers = [stream.ask("what") for _ in range(5)]
    assert all(answer.stats.prefix_reused for answer in answers)
    assert all(answer.timings.prefill_ms == 0 for answer in answers)
    assert all(0 <= answer.evidence.age_newest_ms <= 1000 for answer in answers)


def test_a_fresher_window_can_be_asked_for(open_stream, wait_for):
    stream = open_stream(frames(), prefill_every_s=3600.0)
    wait_for(lambda: stream.status.window_frames == 4)
    cached = stream.ask("what").evidence
    time.sleep(0.2)
    assert stream.ask("what").evidence.snapshot_version == cached.snapshot_version
    fresh = stream.ask("what", max_evidence_age_ms=100).evidence
    assert fresh.snapshot_version > cached.snapshot_version
    assert fresh.age_newest_ms <= 100
    for illegal in (-1, True, "1", float("nan")):
        with pytest.raises(OptionsError, match="max_evidence_age_ms"):
            stream.ask("what", max_evidence_age_ms=illegal)


def test_without_background_prefill_the_newest_window_is_read_in_front(open_stream, wait_for, language):
    stream = open_stream(frames(), prefill_in_background=False)
    wait_for(lambda: stream.status.window_frames == 4)
    time.sleep(0.05)
    assert not language.prefilled
    assert not stream.ask("what").stats.prefix_reused


def test_a_standing_question_drafts_with_its_last_answer(open_stream, wait_for, language):
    stream = open_stream(frames())
    standing = stream.ask_every("what", 0.01)
    answers = [answer for _, answer in zip(range(3), standing, strict=False)]
    assert all(answer.wait(5) for answer in answers)
    assert language.drafts[0] == ()
    assert language.drafts[1] == language.drafts[2] == (0, 1, 2, 3)
    assert answers[2].stats.num_accepted_tokens == 4
