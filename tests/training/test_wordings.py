"""The ways to ask: some are kept out of training, whatever the kind."""

import re
from string import Formatter

import numpy as np
import pytest

from redvillm.training.wordings import WORDINGS, Wordings

WORDS = {"thing": "the dog", "things": "dogs", "who": "man", "first": "the cup", "second": "the chair"}
DRAWS = 600  # of at most 20 ways: one of them is missed with a chance of 1e-12


def drawn(kind, *, kept_back, seed=0):
    wordings = Wordings(np.random.default_rng(seed), kept_back=kept_back)
    return {wordings.ask(kind, **WORDS) for _ in range(DRAWS)}


def fields(way):
    return {field for _, field, _, _ in Formatter().parse(way) if field}


def as_pattern(way):
    return re.sub(r"\\{\w+\\}", ".+", re.escape(way))


@pytest.mark.parametrize("kind", WORDINGS)
def test_training_and_evaluation_share_no_way_to_ask(kind):
    training, kept_back = drawn(kind, kept_back=False), drawn(kind, kept_back=True)
    assert not training & kept_back
    assert training | kept_back == {way.format(**WORDS) for way in WORDINGS[kind]}
    assert len(kept_back) == (4 if kind == "unknowable" else 2)
    assert len(training) >= 3


def test_no_kept_back_way_is_a_training_way_of_another_kind():
    trained = set().union(*(drawn(kind, kept_back=False) for kind in WORDINGS))
    for kind, ways in WORDINGS.items():
        kept_back = drawn(kind, kept_back=True)
        for way in ways:
            if way.format(**WORDS) in kept_back:
                assert not [question for question in trained if re.fullmatch(as_pattern(way), question)], way


@pytest.mark.parametrize("kind", WORDINGS)
def test_every_way_names_what_is_asked_about(kind):
    named = [fields(way) for way in WORDINGS[kind]]
    assert all(names == named[0] for names in named)
    assert named[0] <= WORDS.keys()
    for question in drawn(kind, kept_back=False) | drawn(kind, kept_back=True):
        assert all(WORDS[field] in question for field in named[0])
        assert not {"{", "}"} & set(question)
        assert question[0].isupper()
        assert question[-1] in "?."


def test_a_way_means_one_kind():
    ways = [way for kind in WORDINGS.values() for way in kind]
    assert len(ways) == len(set(ways))


def test_ways_are_a_function_of_the_seed():
    asked = [[wordings.ask("naming") for _ in range(20)] for wordings in (Wordings(np.random.default_rng(seed)) for seed in (3, 3, 4))]
    assert asked[0] == asked[1] != asked[2]
