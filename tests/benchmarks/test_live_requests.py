"""Requests of live runs are checked before anything is loaded."""

import dataclasses

import pytest

from redvillm.benchmarks.arrivals import ARRIVALS
from redvillm.benchmarks.live_requests import COMPARISONS, LiveBenchRequest, read_questions
from redvillm.benchmarks.live_run import run_length_s, stream_options
from redvillm.cli.command_line import build_parser
from redvillm.errors import OptionsError

STREAM_WORDS = (("--window", ("rolling", "memory")), ("--gate", ("duplicates", "none")), ("--speed", ("own", "max")))


def request(**changes):
    return LiveBenchRequest(**{"bundle": "b", "source": "s", **changes})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"duration_s": 0}, "duration_s is 0"),
        ({"warmup_s": -1}, "warmup_s is -1"),
        ({"every_s": float("nan")}, "every_s is nan"),
        ({"questions": ()}, "no question"),
        ({"questions": ("a", " ")}, "empty"),
        ({"arrivals": "bursts"}, "poisson, regular"),
        ({"compare": "colours"}, "prefill"),
        ({"every_s": 61.0}, "longer"),
    ],
)
def test_illegal_values_are_named(change, words):
    with pytest.raises(OptionsError, match=words):
        request(**change)


def test_variants_take_turns_at_least_twice():
    plain, both = request(duration_s=60), request(duration_s=60, segment_s=20, compare="prefill", warmup_s=5)
    assert (plain.segments_per_variant, len(plain.variants)) == (1, 1)
    assert (both.segments_per_variant, len(both.variants)) == (3, 2)
    assert request(duration_s=5, compare="prefill").segments_per_variant == 2
    assert run_length_s(both) == 2 * (60 + 3 * 5)
    assert [variant.changes.get("prefill_in_background", True) for variant in both.variants] == [True, False]


def test_each_comparison_changes_what_it_is_called_after_and_nothing_else():
    for name, option in (("window", "window"), ("gate", "gate"), ("prefill", "prefill_in_background")):
        for given in ({"window": "memory", "gate": "none", "speed": "max"}, {}):
            compared = request(compare=name, rate_hz=3, **given)
            options = [stream_options(compared, variant) for variant in compared.variants]
            assert getattr(options[0], option) != getattr(options[1], option)
            assert dataclasses.replace(options[1], **{option: getattr(options[0], option)}) == options[0]
            assert options[0].loop and options[0].rate_hz == 3
            for field in {"window", "gate", "speed"} - {option}:
                assert getattr(options[0], field) == getattr(compared, field)


def test_long_runs_and_soaks_have_a_verdict():
    assert not request(duration_s=599).has_verdict
    assert request(duration_s=600).has_verdict
    assert request(duration_s=5, soak=True).has_verdict


def test_questions_come_from_a_file(tmp_path):
    path = tmp_path / "questions.txt"
    path.write_text("Who is it?\n\n  Wo ist der Hund? ü\n", encoding="utf-8")
    assert read_questions(path) == ("Who is it?", "Wo ist der Hund? ü")
    path.write_bytes(b"\xff\xfe\x00")
    for wrong in (path, tmp_path / "absent"):
        with pytest.raises(OptionsError, match="one question per line"):
            read_questions(wrong)


def test_the_command_line_offers_every_comparison_and_no_other():
    for option, values in (("--compare", COMPARISONS), ("--arrivals", ARRIVALS), *STREAM_WORDS):
        for value in values:
            build_parser().parse_args(["bench", "--stream", "a", option, value])
        with pytest.raises(SystemExit):
            build_parser().parse_args(["bench", "--stream", "a", option, "other"])
