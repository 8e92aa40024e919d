"""Requests are checked before anything is loaded."""

import pytest

from redvillm.benchmarks.bench import run_bench
from redvillm.benchmarks.requests import BenchRequest
from redvillm.errors import OptionsError, SourceNotFoundError


def request(**changes):
    plain = {"bundle": "b", "clip": "absent.mp4", "question": "?", "num_frames": None, "max_new_tokens": 8, "runs": 2, "warmup": 0, "threads": None}
    return BenchRequest(**{**plain, **changes})


@pytest.mark.parametrize(
    ("change", "words"), [({"runs": 0}, "runs is 0"), ({"max_new_tokens": 1}, "at least 2"), ({"peers": ("nobody",)}, "transformers")]
)
def test_illegal_values_are_named(change, words):
    with pytest.raises(OptionsError, match=words):
        request(**change)


def test_a_missing_clip_is_found_before_an_engine_is_loaded():
    with pytest.raises(SourceNotFoundError, match=r"absent\.mp4"):
        run_bench(request())
