"""Percentiles against numpy's definition by hand."""

import pytest

from redvillm.benchmarks.statistics import summarize


def test_percentiles_of_known_samples():
    summary = summarize(list(range(101)))
    assert (summary.p50, summary.p95, summary.p99, summary.count) == (50, 95, 99, 101)


def test_one_sample_is_every_percentile():
    summary = summarize([3.5])
    assert (summary.p50, summary.p95, summary.p99, summary.count) == (3.5, 3.5, 3.5, 1)


def test_no_sample_is_an_error():
    with pytest.raises(IndexError):
        summarize([])
