"""The slot, the books, the meter, the health and the window: small parts with sharp rules."""

import dataclasses
import threading

import numpy as np
import pytest

from redvillm.errors import OptionsError, SourceLostError
from redvillm.kernels import reference
from redvillm.kernels.streaming import StreamingPool
from redvillm.runtime.drops import DropReason, FrameLedger
from redvillm.runtime.frame import Frame
from redvillm.runtime.gate import PassAllGate, Verdict
from redvillm.runtime.health import SourceHealth, SourceState
from redvillm.runtime.meter import RateMeter
from redvillm.runtime.slot import FrameSlot
from redvillm.runtime.stream_options import StreamOptions
from redvillm.runtime.timings import AnswerMoments, PerceptionTimings, Stopwatch, answer_timings
from redvillm.runtime.window import Window


def frame(value=0):
    return Frame(np.full((2, 2, 3), value, np.uint8), float(value))


def test_the_slot_keeps_the_newest_and_hands_back_what_it_replaces():
    slot = FrameSlot()
    assert slot.refusal is None
    first, second = frame(1), frame(2)
    assert slot.put(first) is None
    assert slot.put(second) is first
    assert slot.take(0) is second
    assert slot.refusal is DropReason.BUSY
    slot.refuse(DropReason.RATE)
    assert slot.refusal is DropReason.RATE
    slot.request()
    assert slot.refusal is None
    assert slot.take(0) is None


def test_the_slot_says_what_it_will_not_want():
    slot = FrameSlot()
    assert not slot.refuses_at(1.0)
    slot.refuse(DropReason.RATE, until_s=2.0)
    assert slot.refuses_at(1.9)
    assert not slot.refuses_at(2.0)
    slot.request()
    assert not slot.refuses_at(1.9)
    slot.put(frame())
    slot.take(0)
    assert not slot.refuses_at(1.9)  # busy, nobody knows for how long


def test_a_slot_is_waited_for_until_it_is_empty_and_wanted():
    slot = FrameSlot()
    assert slot.wait_wanted(0)
    slot.put(frame())
    assert not slot.wait_wanted(0.01)
    slot.take(0)
    assert not slot.wait_wanted(0.01)
    threading.Timer(0.02, slot.request).start()
    assert slot.wait_wanted(10)
    slot.refuse(DropReason.BUSY)
    threading.Timer(0.02, slot.close).start()
    assert slot.wait_wanted(10)


def test_a_closed_slot_wakes_its_taker_and_still_gives_the_last_frame():
    slot = FrameSlot()
    threading.Timer(0.02, slot.close).start()
    assert slot.take(10) is None
    assert slot.is_over
    slot.put(frame(3))
    assert not slot.is_over  # so that nobody leaves while a last frame is held
    assert slot.take(0).captured_s == 3.0
    assert slot.is_over


def test_the_books_balance():
    ledger = FrameLedger()
    for _ in range(10):
        ledger.capture()
    for reason in DropReason:
        ledger.drop(reason)
    ledger.use()
    counts = ledger.counts()
    assert (counts.captured, counts.used, counts.dropped, counts.in_flight) == (10, 1, len(DropReason), 9 - len(DropReason))
    with pytest.raises(TypeError):
        counts.drops[DropReason.BUSY] = 5


def test_the_meter_counts_intervals_not_events():
    meter = RateMeter(window_s=2.0)
    assert meter.rate_hz(0.0) == 0.0
    for index in range(11):
        meter.tick(index * 0.1)
    assert meter.rate_hz(1.0) == pytest.approx(10.0)
    assert meter.rate_hz(10.0) == 0.0


def test_a_final_state_stays():
    health = SourceHealth()
    health.set(SourceState.RUNNING, "go")
    assert health.wait_opened(0)
    error = SourceLostError("gone")
    health.fail(error)
    health.set(SourceState.RUNNING, "again")
    assert health.report.error is error
    assert health.wait_final(0).state is SourceState.FAILED
    assert health.wait_opened(0)


def test_a_source_that_failed_to_open_was_not_opened():
    health = SourceHealth()
    assert not health.wait_opened(0)
    health.fail(SourceLostError("never there"))
    assert not health.wait_opened(0)


def test_the_gate_that_passes_all():
    assert {PassAllGate().judge(frame()) for _ in range(3)} == {Verdict.CHANGED}


def test_a_window_gives_the_streams_of_its_frames_and_snapshots_do_not_change():
    window = Window(StreamingPool(3, 4, 5, 2, backend="reference"), 3)
    features = np.random.default_rng(0).standard_normal((7, 4, 5)).astype(np.float16).astype(np.float32)  # exact in a float16 window
    snapshots = [window.push(features[index], Frame(np.zeros((1, 1, 3), np.uint8), index * 1.0, index * 0.5), Stopwatch()) for index in range(7)]
    for index, snapshot in enumerate(snapshots):
        used = features[max(0, index - 2) : index + 1]
        temporal, spatial = reference.spatio_temporal_pool(used)
        assert snapshot.version == index + 1
        assert snapshot.num_frames == len(used)
        assert snapshot.captured_s == tuple(float(i) for i in range(max(0, index - 2), index + 1))
        assert snapshot.clip_times_s == tuple(i * 0.5 for i in range(max(0, index - 2), index + 1))
        np.testing.assert_allclose(snapshot.pooled.temporal_pooling, temporal, atol=1e-5)  # float32 sums in another order
        np.testing.assert_allclose(snapshot.pooled.spatial_pooling, spatial, atol=1e-5)
        assert not snapshot.pooled.temporal_pooling.flags.writeable
    with pytest.raises(dataclasses.FrozenInstanceError):
        snapshots[0].version = 9


def test_a_window_without_clip_times_says_none():
    window = Window(StreamingPool(2, 4, 5, 0, backend="reference"), 2)
    features = np.zeros((4, 5), np.float32)
    assert window.push(features, Frame(np.zeros((1, 1, 3), np.uint8), 0.0, 1.0), Stopwatch()).clip_times_s == (1.0,)
    assert window.push(features, Frame(np.zeros((1, 1, 3), np.uint8), 0.1, None), Stopwatch()).clip_times_s is None


@pytest.mark.parametrize(
    "values",
    [
        {"rate_hz": 0},
        {"rate_hz": float("nan")},
        {"rate_hz": "4"},
        {"rate_hz": True},
        {"max_age_s": -1},
        {"give_up_after_s": -1},
        {"open_timeout_s": 0},
    ],
)
def test_stream_options_are_checked(values):
    with pytest.raises(OptionsError, match=next(iter(values))):
        StreamOptions(**values)


def test_a_stopwatch_counts_blocks_that_raise():
    stopwatch = Stopwatch()
    with pytest.raises(ValueError, match="x"), stopwatch.measure("a"):
        raise ValueError("x")
    assert stopwatch.spent_ms("a") > 0
    assert stopwatch.spent_ms("b") == 0


@pytest.mark.parametrize(("num_tokens", "per_token_ms"), [(1, None), (5, 250.0)])
def test_timings_are_differences_of_moments(num_tokens, per_token_ms):
    perception = PerceptionTimings(decode_ms=1, preprocess_ms=2, encode_ms=3, pool_ms=4, align_ms=5, wall_ms=6)
    moments = AnswerMoments(
        asked_s=10,
        submitted_s=10.25,
        started_s=10.5,
        prefill_ms=7,
        generate_s=11,
        first_token_s=12,
        last_token_s=13,
        num_new_tokens=num_tokens,
        newest_frame_s=9,
    )
    timings = answer_timings(perception, moments)
    assert (timings.queue_ms, timings.first_token_ms, timings.ttft_ms, timings.total_ms) == (250, 1000, 2000, 3000)
    assert (timings.frame_to_first_token_ms, timings.frame_to_last_token_ms) == (3000, 4000)
    assert timings.per_token_ms == per_token_ms
    clip = answer_timings(perception, dataclasses.replace(moments, newest_frame_s=None))
    assert clip.frame_to_first_token_ms is None
