"""The verdict: a steady run passes, and each fault fails its own pass line and no other."""

import dataclasses

import pytest
from live_records import answer, steady_run

from redvillm.benchmarks.live_records import LiveRecord
from redvillm.benchmarks.verdict import judge

LENGTH_S = 1200


def failed(record):
    return {check.name for check in judge(record, LENGTH_S).checks if not check.passed}


def test_a_steady_run_passes():
    assert failed(steady_run()) == set()
    assert judge(steady_run(), LENGTH_S).passed


def test_what_is_loaded_in_the_first_minute_is_no_leak():
    assert failed(steady_run(rss_mb=lambda second: 100.0 + 5 * min(second, 60))) == set()


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"rss_mb": lambda second: 400 + second * 0.05}, "memory"),
        ({"threads": lambda second: 14 + (second > 1100)}, "threads"),
        ({"descriptors": lambda second: 13 + second // 300}, "file descriptors"),
        ({"ttft_ms": lambda second: 100 if second < 600 else 180}, "latency"),
    ],
)
def test_a_fault_fails_its_own_line(changes, name):
    assert failed(steady_run(**changes)) == {name}


def test_small_growth_and_small_slowness_pass():
    assert failed(steady_run(rss_mb=lambda second: 400 + second * 0.01)) == set()
    assert failed(steady_run(ttft_ms=lambda second: 30 if second < 600 else 60)) == set()  # 1.5 times and 20 ms


def test_a_failed_answer_and_lost_frames_fail():
    record = steady_run()
    refused = dataclasses.replace(record, answers=(*record.answers, answer(1199.0, 0.0, error="closed")))
    assert failed(refused) == {"answers"}
    lost = dataclasses.replace(record.samples[500], drops={"rate": 17 * 500 - 3})
    assert failed(dataclasses.replace(record, samples=(*record.samples[:500], lost, *record.samples[501:]))) == {"frames"}
    twice = dataclasses.replace(record.samples[500], used=record.samples[500].used + 1)
    assert failed(dataclasses.replace(record, samples=(*record.samples[:500], twice, *record.samples[501:]))) == {"frames"}


def test_a_run_with_nothing_in_it_does_not_pass():
    assert failed(LiveRecord((), ())) == {"answers", "latency", "samples"}
