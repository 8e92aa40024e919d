"""Playing as fast as perception goes: the file's time decides, not the clock on the wall."""

import time

import numpy as np
import pytest

from redvillm.errors import OptionsError
from redvillm.runtime.drops import DropReason
from redvillm.runtime.gate import ThumbnailGate
from redvillm.runtime.sampler import RateSampler


def test_a_rate_sampler_takes_frames_by_their_times():
    sampler = RateSampler(8)
    taken = [index for index in range(50) if sampler.take(index / 25)]
    assert len(taken) == 16
    assert set(np.diff(taken)) == {3, 4}


def test_jitter_halves_no_rate_and_a_gap_is_not_made_up_for():
    random = np.random.default_rng(0)
    sampler = RateSampler(10)
    assert sum(sampler.take(index / 10 + random.uniform(-0.01, 0.01)) for index in range(100)) == 100
    sampler = RateSampler(10)
    assert [sampler.take(time_s) for time_s in (0.0, 5.0, 5.01, 5.05, 5.1, 5.2)] == [True, True, False, False, True, True]


@pytest.mark.parametrize("delay_s", [0.0, 0.004])
def test_every_frame_that_is_due_is_used_however_slow_the_encoder(open_stream, write_clip, encoder, delay_s):
    encoder.delay_s = delay_s
    start_s = time.perf_counter()
    stream = open_stream(write_clip(num_frames=100, fps=25), speed="max", rate_hz=5)
    assert stream.wait_ended(20)
    assert time.perf_counter() - start_s < 4  # the clip lasts four seconds
    counts = stream.status.counts
    assert (counts.captured, counts.used, counts.drops[DropReason.RATE]) == (100, 21, 79)
    assert counts.dropped == 79
    # a frame is due a quarter of a period early: 0, 0.16, 0.36, ...
    assert stream.snapshot.clip_times_s == pytest.approx([3.36, 3.56, 3.76, 3.96], abs=1e-3)


def test_a_rate_above_the_files_uses_every_frame(open_stream, write_clip):
    stream = open_stream(write_clip(num_frames=30, fps=25), speed="max", rate_hz=1000)
    assert stream.wait_ended(20)
    assert stream.status.counts.used == 30


def test_the_gate_at_full_speed_counts_time_of_the_clip(open_stream, write_clip):
    stream = open_stream(write_clip(num_frames=100, fps=25, step=0), speed="max", rate_hz=25, gate=ThumbnailGate(refresh_s=1.0, by_clip_time=True))
    assert stream.wait_ended(20)
    counts = stream.status.counts
    assert (counts.used, counts.drops[DropReason.DUPLICATE]) == (4, 96)  # the first, and one each second of the clip


def test_what_has_its_own_speed_only_is_refused(open_stream):
    with pytest.raises(OptionsError, match="own speed"):
        open_stream([np.zeros((4, 4, 3), np.uint8)], speed="max")
    with pytest.raises(OptionsError, match="speed"):
        open_stream([np.zeros((4, 4, 3), np.uint8)], speed="fast")


def test_closing_does_not_wait_for_the_end_of_the_file(open_stream, write_clip, encoder):
    encoder.delay_s = 0.2
    stream = open_stream(write_clip(num_frames=200, fps=25), speed="max", rate_hz=1000)
    start_s = time.perf_counter()
    stream.close()
    assert time.perf_counter() - start_s < 2
