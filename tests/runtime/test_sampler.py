"""Sampling: spread, bounds and order, against brute force."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redvillm.runtime.sampler import SpreadSampler, TimeSampler


def run(times_s, duration_s, num_frames, period_s):
    sampler = TimeSampler(duration_s=duration_s, num_frames=num_frames, period_s=period_s)
    picked = []
    for index, time_s in enumerate(times_s):
        if sampler.is_due(time_s):
            sampler.take(time_s)
            picked.append(index)
    return picked


@given(st.integers(1, 400), st.integers(1, 40), st.sampled_from([1.0, 12.5, 25.0, 29.97, 240.0]))
def test_a_constant_rate_gives_the_frames_at_the_centres_of_equal_parts(num_in_clip, num_wanted, fps):
    period_s = 1 / fps
    times_s = [index * period_s for index in range(num_in_clip)]
    picked = run(times_s, num_in_clip * period_s, num_wanted, period_s)
    assert len(picked) == min(num_in_clip, num_wanted)
    if num_wanted < num_in_clip:
        for part, index in enumerate(picked):
            centre_s = (part + 0.5) * num_in_clip * period_s / num_wanted
            assert -0.75 * period_s - 1e-6 <= times_s[index] - centre_s <= 0.25 * period_s + 1e-6


@given(st.integers(1, 16), st.sampled_from([12.5, 25.0, 29.97, 60.0]))
def test_a_short_clip_is_used_whole_although_its_times_are_rounded_to_milliseconds(num_in_clip, fps):
    times_s = [round(index / fps, 3) for index in range(num_in_clip)]
    assert run(times_s, num_in_clip / fps, 16, 1 / fps) == list(range(num_in_clip))


@given(st.lists(st.floats(0.001, 2.0), min_size=1, max_size=200), st.integers(1, 16))
def test_a_variable_rate_never_repeats_a_frame_and_never_exceeds_the_number_asked_for(gaps_s, num_wanted):
    times_s = [sum(gaps_s[:index]) for index in range(len(gaps_s))]
    duration_s = sum(gaps_s)
    picked = run(times_s, duration_s, num_wanted, duration_s / len(times_s))
    assert picked == sorted(set(picked))
    assert len(picked) <= num_wanted
    if len(times_s) > 1:  # planned up to the last frame, there is always one
        assert run(times_s, times_s[-1], num_wanted, duration_s / len(times_s))


def test_a_long_still_part_of_a_variable_rate_counts_once():
    times_s = [0.0, 0.1, 0.2, 9.0, 9.1, 9.2]
    assert run(times_s, 9.3, 8, 0.1) == [3]  # every centre but none of the others lies before it


def test_a_damaged_frame_leaves_the_next_one_due():
    sampler = TimeSampler(duration_s=10.0, num_frames=2, period_s=0.1)
    assert sampler.is_due(2.5)
    assert sampler.is_due(2.6)  # 2.5 was not taken
    sampler.take(2.6)
    assert not sampler.is_due(2.7)


@given(st.integers(0, 3000), st.integers(1, 20))
def test_an_unknown_length_is_spread_evenly_in_bounded_memory(count, num_items):
    sampler: SpreadSampler[int] = SpreadSampler(num_items)
    most = 0
    for index in range(count):
        if sampler.wants_next():
            sampler.keep(index)
        else:
            sampler.skip()
        most = max(most, len(sampler._kept))
    chosen = sampler.chosen()
    assert sampler.count == count
    assert most <= 2 * num_items
    assert all(index == item for index, item in chosen)
    assert len(chosen) == min(count, num_items)
    indices = [index for index, _ in chosen]
    assert indices == sorted(set(indices))
    if count > 4 * num_items:
        gaps = [after - before for before, after in itertools.pairwise(indices)]
        assert indices[0] <= count / num_items
        assert indices[-1] >= count - 2 * count / num_items
        assert all(gap <= 2 * count / num_items for gap in gaps)


@pytest.mark.parametrize("count", [1, 2, 7])
def test_a_short_sequence_is_used_whole(count):
    sampler: SpreadSampler[int] = SpreadSampler(7)
    for index in range(count):
        sampler.keep(index)
    assert [item for _, item in sampler.chosen()] == list(range(count))
