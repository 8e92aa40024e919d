"""The model over fake graphs: the API that users see."""

import gc
import threading
import time

import numpy as np
import pytest

import redvillm
from redvillm.errors import OptionsError, QuestionError, SourceNotFoundError, StreamClosedError


@pytest.fixture
def model(fake_bundle, fake_parts):
    with redvillm.load(fake_bundle) as model:
        yield model


def test_one_question_about_a_clip(model, write_clip):
    answer = model.ask(write_clip(), "what")
    assert answer.text == "echo what about 10 "
    assert answer.evidence.frames_used == 4
    assert answer.timings.perception_ms > 0
    assert answer.timings.ttft_ms >= answer.timings.perception_ms  # counted from asking, watching included


@pytest.mark.parametrize("kind", [list, tuple])
def test_several_questions_share_the_visual_prefix(model, language, write_clip, kind):
    answers = model.ask(write_clip(), kind(["a", "b", "c"]), num_frames=2)
    assert [answer.question for answer in answers] == ["a", "b", "c"]
    assert [answer.stats.prefix_reused for answer in answers] == [False, True, True]
    assert answers[0].evidence.frames_used == 2
    assert answers[0].stats.num_visual_tokens == 4 + 2 + 2
    assert len(language.prefilled) == 1


def test_more_questions_than_the_queue_holds(model, write_clip):
    answers = model.ask(write_clip(), [f"q{index}" for index in range(40)])
    assert [answer.text.split()[1] for answer in answers] == [f"q{index}" for index in range(40)]


def test_a_watched_clip_is_asked_later(model, write_clip):
    clip = model.watch(write_clip())
    assert clip.evidence.frames_used == 4
    assert clip.timings.encode_ms > 0
    assert clip.ask("later").text.startswith("echo later")


def test_frames_of_a_program(model):
    assert model.ask([np.zeros((4, 4, 3), np.uint8)], "what").evidence.frames_used == 1


@pytest.mark.parametrize("num_frames", [0, 5, -1, 2.0, True, "4"])
def test_the_number_of_frames_is_checked(model, num_frames):
    with pytest.raises(OptionsError, match="1 to 4"):
        model.ask("clip.mp4", "what", num_frames=num_frames)


def test_questions_are_checked_before_the_clip_is_opened(model):
    with pytest.raises(QuestionError):
        model.ask("/nowhere/clip.mp4", ["good", " "])
    with pytest.raises(SourceNotFoundError):
        model.ask("/nowhere/clip.mp4", "good")


def test_a_live_stream(model, write_clip):
    with model.open(write_clip(fps=50), rate_hz=100) as stream:
        assert stream.ask("now").text.startswith("echo now")
        assert stream.options.rate_hz == 100
    with pytest.raises(OptionsError, match="rate_hz"):
        model.open(write_clip(), rate_hz=0)


def test_a_live_stream_and_a_clip_at_the_same_time(model, write_clip):
    with model.open(write_clip("live.avi", num_frames=200, fps=50), rate_hz=50) as stream:
        live = [stream.ask(f"live{index}") for index in range(3)]
        clip = model.ask(write_clip(), "clip")
        assert all(answer.text for answer in (*live, clip))
        assert clip.evidence.snapshot_version is None


def test_closing_the_model_closes_its_streams(fake_bundle, fake_parts, write_clip):
    model = redvillm.load(fake_bundle)
    stream = model.open(write_clip(num_frames=100))
    fake_parts.delay_s = 0.1
    answer = stream.ask("a b c d e f g h i j k l")
    start_s = time.perf_counter()
    model.close()
    assert time.perf_counter() - start_s < 2.0
    assert answer.wait(1)
    with pytest.raises(StreamClosedError):
        stream.ask("late")
    with pytest.raises(StreamClosedError):
        model.ask([np.zeros((4, 4, 3), np.uint8)], "late")
    with pytest.raises(StreamClosedError):
        model.open([np.zeros((4, 4, 3), np.uint8)])
    model.close()


def test_a_model_that_is_dropped_ends_its_thread(fake_bundle, fake_parts):
    before = sum(thread.name == "redvillm-language" for thread in threading.enumerate())
    model = redvillm.load(fake_bundle)
    del model
    gc.collect()
    assert sum(thread.name == "redvillm-language" for thread in threading.enumerate()) == before
