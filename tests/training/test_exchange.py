"""Articles, sentences and the fixed answers."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redvillm.training.exchange import CANNOT_TELL, NO, YES, indefinite, sentence, there_is_no, yes_no


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("cup", "a cup"),
        ("ant", "an ant"),
        ("emu", "an emu"),
        ("umbrella", "an umbrella"),
        ("inline skate", "an inline skate"),
        ("euphonium", "a euphonium"),  # sounds like "you"
        ("ewer", "a ewer"),
        ("yin yang symbol", "a yin yang symbol"),
        ("x", "a x"),
        ("Garfield", "Garfield"),
        ("Snoopy", "Snoopy"),
        ("binoculars", "binoculars"),
        ("scissors", "scissors"),
        ("headphones", "headphones"),
        ("pair of scissors", "a pair of scissors"),
    ],
)
def test_a_noun_gets_its_article(name, wanted):
    assert indefinite(name) == wanted


@settings(deadline=None)
@given(st.text(st.characters(codec="ascii", categories=["Ll"]), min_size=1, max_size=12))
def test_the_article_leaves_the_noun_as_it_is(name):
    article, _, rest = indefinite(name).partition(" ")
    assert (article, rest) in {("a", name), ("an", name)} or indefinite(name) == name in {"binoculars", "scissors", "headphones"}


@settings(deadline=None)
@given(st.text(st.characters(codec="ascii", categories=["L", "Zs"]), min_size=1, max_size=20))
def test_a_sentence_has_a_capital_and_one_stop_and_is_else_the_text(text):
    made = sentence(text)
    assert made[-1] == "."
    assert made[0] == text[0].upper()
    assert made[1:-1] == text[1:]


def test_names_keep_their_capital_inside_a_sentence():
    assert sentence("an ant") == "An ant."
    assert sentence("the Garfield") == "The Garfield."


def test_fixed_answers_say_what_they_mean():
    assert (yes_no(True), yes_no(False)) == (YES, NO) == ("Yes.", "No.")
    assert there_is_no("dog") == "There is no dog."
    assert len({YES, NO, CANNOT_TELL}) == 3
