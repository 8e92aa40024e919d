"""Figures of made-up records, by hand."""

import pytest
from live_records import sample, two_variants

from redvillm.benchmarks.live_records import LiveRecord
from redvillm.benchmarks.live_summary import rates, summarize_variant


def test_warm_up_and_the_other_variant_are_not_counted():
    fast, slow = (summarize_variant(two_variants(), index, name) for index, name in enumerate(("fast", "slow")))
    assert (fast.num_answers, fast.num_failed) == (16, 0)
    assert fast.latencies_ms["ttft_ms"].p99 == 30
    assert fast.latencies_ms["frame_to_first_token_ms"].p50 == 130
    assert "per_token_ms" not in fast.latencies_ms
    assert (slow.num_answers, slow.num_failed, slow.failures) == (16, 1, {"16 questions wait already": 1})
    assert slow.latencies_ms["ttft_ms"].p50 == 90
    assert (fast.reused_share, slow.reused_share) == (1, 0)
    assert fast.segment_ttft_ms == [30, 30]


def test_rates_are_those_within_segments():
    fast = summarize_variant(two_variants(), 0, "fast")
    assert fast.measured_s == 14  # twice from second 2 to second 9; what lies between the segments is another's
    assert fast.captured_fps == 25
    assert fast.used_fps == 8
    assert fast.drops_per_s == {"rate": 17}
    assert fast.cpu_cores == pytest.approx(0.5)
    assert fast.other_cpu_cores == pytest.approx(0.25)
    found = rates([sample(0.0), sample(2.0), sample(5.0, segment=1)])
    assert [(rate.time_s, rate.captured_fps, rate.used_fps, rate.cpu_cores) for rate in found] == [(1, 25, 8, 0.5)]


def test_a_variant_without_answers_or_samples_is_no_error():
    empty = summarize_variant(LiveRecord((), ()), 0, "empty")
    assert (empty.num_answers, empty.reused_share, empty.latencies_ms, empty.used_fps, empty.peak_rss_mb) == (0, None, {}, 0, 0)
