"""Live streams over fakes: evidence, accounting, losses, endings. No camera and no model."""

import gc
import itertools
import threading
import time
import weakref

import numpy as np
import pytest

from redvillm.errors import (
    BackendError,
    OptionsError,
    QuestionError,
    SourceError,
    SourceFormatError,
    SourceLostError,
    SourceNotFoundError,
    StreamClosedError,
)
from redvillm.runtime.drops import DropReason
from redvillm.runtime.frame import Frame
from redvillm.runtime.gate import Verdict
from redvillm.runtime.health import SourceState
from redvillm.runtime.source import Mark


def endless(period_s=0.002, size=(8, 8)):
    for index in itertools.count():
        time.sleep(period_s)
        yield np.full((*size, 3), index % 256, np.uint8)


class ScriptedSource:
    """A camera whose fate is written down: each opening gives that many frames, or raises."""

    is_paced = False
    name = "the scripted camera"

    def __init__(self, *openings, can_return=True, damaged=()):
        self.openings = list(openings)
        self.can_return = can_return
        self.damaged = set(damaged)
        self.num_grabbed = 0
        self.num_opened = 0
        self.num_left = 0

    def open(self):
        self.num_opened += 1
        step = self.openings.pop(0) if self.openings else SourceNotFoundError("gone for good")
        if isinstance(step, Exception):
            raise step
        self.num_left = step

    def grab(self):
        time.sleep(0.002)
        if not self.num_left:
            raise SourceLostError(f"{self.name} delivers no more frames.")
        self.num_left -= 1
        self.num_grabbed += 1
        return Mark(None)

    def retrieve(self):
        if self.num_grabbed in self.damaged:
            return None
        return Frame(np.zeros((8, 8, 3), np.uint8), time.perf_counter())

    def close(self):
        self.num_left = 0


def own_threads():
    return [thread.name for thread in threading.enumerate() if thread.name in {"redvillm-capture", "redvillm-perception", "redvillm-standing"}]


def test_an_answer_rests_on_the_newest_window(open_stream, wait_for):
    stream = open_stream(endless())
    wait_for(lambda: stream.status.window_frames == 4)
    answer = stream.ask("what", max_evidence_age_ms=0)
    evidence = answer.evidence
    assert answer.text == "echo what about 10 "  # 4 spatial, 4 temporal, 2 motion tokens
    assert evidence.frames_used == 4
    assert 0 <= evidence.age_newest_ms <= evidence.age_oldest_ms
    assert evidence.window_span_s == pytest.approx((evidence.age_oldest_ms - evidence.age_newest_ms) / 1e3)
    assert evidence.snapshot_version >= 4
    assert set(evidence.drops) == {reason.value for reason in DropReason}
    assert evidence.notes == ()
    assert evidence.frame_times_s is None
    assert 0 < answer.timings.frame_to_first_token_ms <= answer.timings.frame_to_last_token_ms
    assert answer.timings.frame_to_first_token_ms >= evidence.age_newest_ms


def test_a_question_before_the_first_frame_waits_for_it(open_stream):
    def late():
        time.sleep(0.2)
        yield from endless()

    assert open_stream(late()).ask("what").evidence.frames_used >= 1


def test_a_source_without_a_frame_fails_the_question_in_time(open_stream):
    def silent():
        time.sleep(1)
        yield np.zeros((4, 4, 3), np.uint8)

    stream = open_stream(silent(), first_frame_timeout_s=0.1)
    with pytest.raises(SourceError, match=r"no frame within 0\.1 s"):
        _ = stream.ask("what").text


def test_every_frame_is_accounted_for(open_stream, encoder, wait_for):
    encoder.delay_s = 0.01
    stream = open_stream(endless(0.001), rate_hz=60)
    wait_for(lambda: stream.status.counts.used > 10)
    for _ in range(200):  # at every moment, not only at the end
        counts = stream.status.counts
        assert 0 <= counts.in_flight <= 2
        assert counts.captured == counts.used + counts.dropped + counts.in_flight
    stream.close()
    counts = stream.status.counts
    assert counts.drops[DropReason.BUSY] > 0
    assert counts.captured > counts.used


def test_frames_above_the_asked_rate_are_dropped_as_rate(open_stream, wait_for):
    stream = open_stream(endless(0.002), rate_hz=20)
    wait_for(lambda: stream.status.counts.drops[DropReason.RATE] > 50)
    status = stream.status
    assert status.counts.used < status.counts.captured / 3
    assert status.counts.used <= status.uptime_s * 20 + 2


def test_the_gate_refuses_with_its_reason(open_stream, wait_for):
    class EverySecond:
        def __init__(self):
            self.count = 0

        def judge(self, frame):
            assert frame.pixels.shape == (8, 8, 3)
            self.count += 1
            return Verdict.CHANGED if self.count % 2 else Verdict.DUPLICATE

    stream = open_stream(endless(), gate=EverySecond())
    wait_for(lambda: stream.status.counts.used >= 5)
    stream.close()
    counts = stream.status.counts
    assert abs(counts.drops[DropReason.DUPLICATE] - counts.used) <= 1


def test_damaged_frames_are_counted(open_stream):
    source = ScriptedSource(30, can_return=False, damaged=range(1, 11))
    stream = open_stream(source)
    assert stream.wait_ended(5)
    stream.close()
    counts = stream.status.counts
    assert 1 <= counts.drops[DropReason.DECODE_ERROR] <= 10
    assert counts.captured == 30
    assert counts.captured == counts.used + counts.dropped + counts.in_flight


def test_frames_that_waited_too_long_are_stale(open_stream, wait_for, encoder):
    class Late(ScriptedSource):
        def retrieve(self):
            time.sleep(0.03)
            return super().retrieve()

    stream = open_stream(Late(1000), max_age_s=0.01)
    wait_for(lambda: stream.status.counts.drops[DropReason.STALE] >= 3)
    assert stream.status.counts.used == 0


def test_memory_is_bounded_whatever_the_length(open_stream, wait_for):
    frames = []

    def tracked():
        for pixels in endless(0.0005, size=(64, 64)):
            frames.append(weakref.ref(pixels))
            yield pixels

    stream = open_stream(tracked())
    wait_for(lambda: len(frames) > 1000)
    gc.collect()
    assert sum(reference() is not None for reference in frames[:-10]) <= 4
    assert stream.snapshot.num_frames == 4
    stream.close()


def test_a_regular_end_is_told_and_the_last_window_can_still_be_asked(open_stream):
    stream = open_stream([np.zeros((4, 4, 3), np.uint8)] * 3)
    assert stream.wait_ended(5)
    assert stream.status.state is SourceState.ENDED
    assert stream.error is None
    first, second = stream.ask("a"), stream.ask("b")
    assert "came to its end" in first.evidence.notes[0]
    assert second.stats.prefix_reused
    assert first.evidence.snapshot_version == second.evidence.snapshot_version


def test_a_file_plays_at_its_own_speed_with_clip_times(open_stream, write_clip):
    start_s = time.perf_counter()
    stream = open_stream(write_clip(num_frames=8, fps=20))
    assert stream.wait_ended(10)
    assert time.perf_counter() - start_s >= 7 / 20  # seven gaps, waited for
    assert stream.status.counts.captured == 8
    assert stream.ask("a").evidence.frame_times_s == pytest.approx([0.2, 0.25, 0.3, 0.35], abs=1e-3)


def test_a_file_is_looked_at_when_its_frames_are_due(open_stream, write_clip):
    stream = open_stream(write_clip(num_frames=40, fps=40), rate_hz=10)
    assert stream.wait_ended(10)
    counts = stream.status.counts
    assert counts.captured == 40
    assert counts.drops[DropReason.BUSY] == 0
    snapshot = stream.snapshot
    lags_s = np.subtract(snapshot.captured_s, snapshot.clip_times_s)  # frames between looks are read ahead, those that are used are not
    assert np.ptp(lags_s) < 0.05


def test_the_newest_frame_is_used_however_slow_the_encoder(open_stream, encoder, wait_for):
    encoder.delay_s = 0.05
    stream = open_stream(endless(0.001), rate_hz=1000)
    wait_for(lambda: stream.status.counts.used >= 6)
    ages_s = []
    for _ in range(5):
        version = stream.snapshot.version
        wait_for(lambda version=version: stream.snapshot.version > version)
        ages_s.append(time.perf_counter() - stream.snapshot.captured_s[-1])
    assert min(ages_s) < 0.2  # its own encoding, and not a queue that grows
    assert stream.status.counts.drops[DropReason.BUSY] > 50


def test_a_looping_file_does_not_end(open_stream, write_clip, wait_for):
    stream = open_stream(write_clip(num_frames=3, fps=100), loop=True)
    wait_for(lambda: stream.status.counts.captured > 12)
    assert stream.status.state is SourceState.RUNNING


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("/nowhere/clip.mp4", SourceNotFoundError),
        ("/", SourceFormatError),
        (97, SourceNotFoundError),
        (None, OptionsError),
    ],
)
def test_a_source_that_cannot_be_opened_is_an_error_at_once(open_stream, source, error):
    with pytest.raises(error):
        open_stream(source)
    assert not own_threads()


def test_opening_is_bounded_in_time(open_stream):
    class Stuck(ScriptedSource):
        def open(self):
            time.sleep(3)

    start_s = time.perf_counter()
    with pytest.raises(SourceNotFoundError, match="did not open within"):
        open_stream(Stuck(), open_timeout_s=0.1)
    assert time.perf_counter() - start_s < 2.9


def test_a_camera_that_vanishes_and_returns(open_stream, wait_for):
    source = ScriptedSource(10, SourceNotFoundError("still gone"), 10**6)
    stream = open_stream(source)
    wait_for(lambda: stream.status.state is SourceState.RECONNECTING, "reconnecting")
    assert "attempt" in stream.status.message
    answer = stream.ask("now?")
    assert answer.text
    assert "reconnecting" in answer.evidence.notes[0]
    wait_for(lambda: stream.status.counts.captured > 15, "frames after the loss")
    assert stream.status.state is SourceState.RUNNING
    assert source.num_opened == 3


def test_a_camera_that_stays_away_fails_visibly(open_stream):
    stream = open_stream(ScriptedSource(5), give_up_after_s=0.3)
    assert stream.wait_ended(10)
    assert stream.status.state is SourceState.FAILED
    assert isinstance(stream.error, SourceLostError)
    assert "within 0.3 s" in str(stream.error)
    answer = stream.ask("what was there?")
    assert answer.text  # the last window is still there, and says how old it is
    assert "failed" in answer.evidence.notes[0]


def test_a_camera_that_opens_but_never_delivers_gives_up(open_stream):
    stream = open_stream(ScriptedSource(*[0] * 50), give_up_after_s=0.8)
    assert stream.wait_ended(10)
    with pytest.raises(SourceLostError):
        _ = stream.ask("a").text


def test_a_source_that_cannot_return_is_not_waited_for(open_stream):
    stream = open_stream(ScriptedSource(5, 5, can_return=False))
    assert stream.wait_ended(5)
    assert isinstance(stream.error, SourceLostError)


def test_a_silent_source_is_stalled(open_stream, monkeypatch):
    from redvillm.runtime import live_grounds

    monkeypatch.setattr(live_grounds, "_STALL_S", 0.05)

    def stops():
        yield np.zeros((4, 4, 3), np.uint8)
        time.sleep(0.5)
        yield np.zeros((4, 4, 3), np.uint8)

    stream = open_stream(stops())
    time.sleep(0.2)
    assert stream.status.state is SourceState.STALLED
    assert "silent" in stream.status.message


def test_a_failure_on_the_last_frames_is_not_hidden_by_the_regular_end(open_stream, encoder, wait_for):
    ended = threading.Event()

    class FailsLate:
        def encode(self, pixels):
            assert ended.wait(5)
            raise RuntimeError("device lost")

    encoder.encode = FailsLate().encode
    stream = open_stream([np.zeros((4, 4, 3), np.uint8)])
    wait_for(lambda: stream.status.state is SourceState.ENDED)
    ended.set()
    assert stream.wait_ended(5)
    assert stream.status.state is SourceState.FAILED
    with pytest.raises(BackendError, match="device lost"):
        _ = stream.ask("a").text


def test_an_iterator_that_wants_to_end_the_program_is_a_loss(open_stream):
    def leaves():
        yield np.zeros((4, 4, 3), np.uint8)
        raise SystemExit(3)

    stream = open_stream(leaves())
    assert stream.wait_ended(5)
    assert isinstance(stream.error, SourceLostError)
    assert "SystemExit" in str(stream.error)


def test_a_failing_encoder_is_visible_and_ends_the_reading(open_stream, encoder):
    encoder.error = RuntimeError("device lost")
    stream = open_stream(endless())
    assert stream.wait_ended(5)
    assert isinstance(stream.error, BackendError)
    with pytest.raises(BackendError, match="device lost"):
        _ = stream.ask("a").text
    captured = stream.status.counts.captured
    time.sleep(0.05)
    assert stream.status.counts.captured <= captured + 1


def test_a_wrong_frame_of_an_iterator_is_visible(open_stream):
    stream = open_stream([np.zeros((4, 4), np.float32)])
    assert stream.wait_ended(5)
    assert isinstance(stream.error, SourceFormatError)


def test_closing_ends_everything_within_a_second(open_stream, language, wait_for):
    language.delay_s = 0.05
    stream = open_stream(endless())
    standing = stream.ask_every("and now", 0.1)
    answer = stream.ask("a b c d e f g")
    wait_for(lambda: stream.status.snapshot_version > 0)
    start_s = time.perf_counter()
    stream.close()
    assert time.perf_counter() - start_s < 1.0
    assert not own_threads()
    assert answer.wait(1)
    assert isinstance(answer.error, StreamClosedError)
    assert standing.is_ended
    assert stream.status.state is SourceState.CLOSED
    with pytest.raises(StreamClosedError):
        stream.ask("late")
    with pytest.raises(StreamClosedError):
        stream.ask_every("late", 1)
    stream.close()


def test_a_blocked_iterator_does_not_hold_up_closing(open_stream):
    release = threading.Event()

    def blocked():
        yield np.zeros((4, 4, 3), np.uint8)
        release.wait(10)
        yield np.zeros((4, 4, 3), np.uint8)

    stream = open_stream(blocked())
    start_s = time.perf_counter()
    stream.close()
    assert time.perf_counter() - start_s < 2.0
    release.set()


def test_a_stream_that_is_dropped_ends_its_threads(open_stream, encoder, aligner, worker, sizes, wait_for):
    from redvillm.kernels.streaming import StreamingPool
    from redvillm.runtime.gate import PassAllGate
    from redvillm.runtime.source_iterator import IteratorSource
    from redvillm.runtime.stream import LiveStream
    from redvillm.runtime.stream_options import StreamOptions
    from redvillm.runtime.window import Window

    stream = LiveStream(
        IteratorSource(endless()),
        StreamOptions(),
        encoder=encoder,
        window=Window(StreamingPool(4, 4, 6, 2, backend="reference"), 4),
        gate=PassAllGate(),
        aligner=aligner,
        worker=worker,
        fit=sizes.fit,
        max_frames=4,
    )
    assert own_threads()
    del stream
    gc.collect()
    wait_for(lambda: not own_threads(), "the end of the threads")


def test_bad_questions_are_refused_at_once(open_stream):
    stream = open_stream(endless())
    with pytest.raises(QuestionError):
        stream.ask("  ")
    with pytest.raises(QuestionError):
        stream.ask_every("", 1.0)
    for every_s in (-1, float("nan"), "2s", True):
        with pytest.raises(OptionsError, match="every_s"):
            stream.ask_every("a", every_s)


def test_the_status_is_whole_before_and_after_the_first_frame(open_stream, wait_for):
    release = threading.Event()

    def gated():
        release.wait(5)
        yield from endless()

    stream = open_stream(gated())
    before = stream.status
    assert (before.window_frames, before.snapshot_version, before.age_newest_ms, before.encode_ms) == (0, 0, None, None)
    assert stream.snapshot is None
    release.set()
    wait_for(lambda: stream.status.perception_fps > 0)
    after = stream.status
    assert after.capture_fps > 0
    assert after.age_newest_ms >= 0
    assert after.source == "the iterator of frames"
