"""Questions and the concepts that captions name."""

import numpy as np

from redvillm.training.questions import CONCEPTS, NO, YES, QuestionMaker, concepts_in, with_article


def test_concepts_are_whole_words():
    assert "a dog" in concepts_in(["Two dogs play."])
    assert "a car" not in concepts_in(["A cartoon on a carpet."])
    assert "a boat" not in concepts_in(["A man."])
    assert concepts_in(["A man."]) >= {"a man", "a person"}


def test_no_word_is_upper_case_or_empty():
    assert all(form and form == form.lower() for forms in CONCEPTS.values() for form in forms)


def test_answers_follow_the_truth():
    maker = QuestionMaker(np.random.default_rng(0))
    assert maker.presence("a dog", present=True).answer == YES
    assert maker.presence("a dog", present=False).answer == NO
    assert maker.naming("umbrella").answer == "An umbrella."
    assert maker.direction("left").answer == "Left."
    assert "not" in maker.direction("").answer
    assert len({maker.describe(["A dog."]).question for _ in range(50)}) > 3


def test_articles():
    assert [with_article(word) for word in ("ant", "cup")] == ["an ant", "a cup"]
