import math

import pytest

from redvillm.errors import OptionsError
from redvillm.runtime.options import GenerationOptions


def test_defaults_are_greedy():
    assert GenerationOptions().temperature == 0
    assert GenerationOptions(max_new_tokens=1, temperature=2, top_k=1, top_p=1, seed=2**70).top_p == 1


@pytest.mark.parametrize(
    "illegal",
    [
        {"max_new_tokens": 0},
        {"max_new_tokens": 2.0},
        {"max_new_tokens": True},
        {"temperature": -0.1},
        {"temperature": math.nan},
        {"temperature": math.inf},
        {"temperature": "1"},
        {"top_k": -1},
        {"top_p": 0.0},
        {"top_p": 1.1},
        {"top_p": math.nan},
        {"seed": -1},
        {"seed": None},
    ],
)
def test_illegal_values_are_named(illegal):
    with pytest.raises(OptionsError, match=f"^{next(iter(illegal))} is .*; it must be "):
        GenerationOptions(**illegal)
