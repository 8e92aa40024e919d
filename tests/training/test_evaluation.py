"""Held-out figures: counted on the test split, with baselines from the labels."""

import pytest

from redvillm.training.evaluation import Evaluator, _plain_score


def test_scores_count_the_test_split_only(model, store, captions, prompt):
    scores = {score.name: score for score in Evaluator(model, store, captions, prompt, prompt.tokenizer.token_to_id("<|im_end|>")).scores()}
    assert scores["the right photo makes its caption likelier than a wrong one"].count == 4  # two photos with two captions
    naming = scores["naming an object of 2 kinds"]
    assert (naming.count, naming.baseline_percent) == (4, 50.0)
    assert scores["direction of a patch moving over a photo"].count == 1
    assert all(0 <= score.percent <= 100 for score in scores.values() if score.baseline != "not a percentage")


def test_the_baseline_is_the_commonest_label():
    score = _plain_score("x", [(True, True), (True, False), (False, False), (True, True)], "b")
    assert score.percent == 50
    assert score.baseline_percent == pytest.approx(75)
