"""Running ahead: order, bound, errors, and consumers that leave."""

import threading
import time

import pytest

from redvillm.runtime.prefetch import run_ahead


def test_all_items_in_order():
    batches = list(run_ahead(range(100), 4))
    assert [item for batch in batches for item in batch] == list(range(100))
    assert all(1 <= len(batch) <= 4 for batch in batches)


def test_nothing():
    assert list(run_ahead([], 4)) == []


def test_it_never_runs_further_ahead_than_asked():
    made = []

    def items():
        for index in range(50):
            made.append(index)
            yield index

    taken = 0
    for batch in run_ahead(items(), 3):
        time.sleep(0.002)
        assert len(made) - taken <= 3 + 2 + len(batch)  # the queue, one in hand, one being made
        taken += len(batch)


def test_items_before_an_error_arrive_and_then_the_error():
    def items():
        yield 1
        yield 2
        raise ValueError("broken")

    got = []
    with pytest.raises(ValueError, match="broken"):
        for batch in run_ahead(items(), 4):
            got += batch
    assert got == [1, 2]


def test_a_consumer_that_leaves_ends_the_thread():
    def forever():
        while True:
            yield 0

    ahead = run_ahead(forever(), 2)
    next(ahead)
    ahead.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "redvillm-decode"]
