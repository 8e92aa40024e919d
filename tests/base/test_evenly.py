from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redvillm.evenly import even_places


@pytest.mark.parametrize(("length", "count", "places"), [(1, 1, [0]), (5, 1, [0]), (5, 2, [0, 4]), (5, 3, [0, 2, 4]), (3, 9, [0, 1, 2]), (0, 4, [])])
def test_places_are_spread(length, count, places):
    assert even_places(length, count) == places


@given(st.integers(1, 500), st.integers(1, 500))
def test_places_are_different_ordered_and_even(length, count):
    places = even_places(length, count)
    assert len(places) == len(set(places)) == min(length, count)
    steps = [after - before for before, after in pairwise(places)]
    assert all(step >= 1 for step in steps)
    assert not steps or max(steps) - min(steps) <= 1
