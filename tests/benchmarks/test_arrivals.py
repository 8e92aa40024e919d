"""When questions arrive: the count is exact, the times lie inside, the same seed gives the same times."""

import numpy as np
import pytest

from redvillm.benchmarks.arrivals import arrival_times_s


def test_regular_questions_lie_in_the_middle_of_their_intervals():
    assert arrival_times_s("regular", 2.0, 7.0, 0) == [1.0, 3.0, 5.0, 7.0]
    assert arrival_times_s("regular", 2.0, 0.5, 0) == []


@pytest.mark.parametrize("seed", [0, 1, 7])
def test_random_questions_are_ordered_inside_and_repeatable(seed):
    times = arrival_times_s("poisson", 0.5, 31.0, seed)
    assert len(times) == 62
    assert times == sorted(times)
    assert min(times) >= 0
    assert max(times) < 31
    assert times == arrival_times_s("poisson", 0.5, 31.0, seed)
    assert times != arrival_times_s("poisson", 0.5, 31.0, seed + 1)


def test_random_intervals_are_exponential():
    gaps = np.diff(arrival_times_s("poisson", 2.0, 40_000.0, 3))
    # 20 000 intervals: mean and deviation of an exponential are equal; 3 % is more than four standard errors
    assert gaps.mean() == pytest.approx(2.0, rel=0.03)
    assert gaps.std() == pytest.approx(2.0, rel=0.03)
