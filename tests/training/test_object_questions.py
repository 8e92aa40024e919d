"""Questions about photos of one object."""

from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest

from redvillm.training.datasets import LabelledImage
from redvillm.training.object_questions import ObjectQuestions
from redvillm.training.wordings import WORDINGS, Wordings

CLASSES = ("cougar", "leopard", "wild cat", "chair", "windsor chair", "airplane", "Garfield", "binoculars", "ant")
ALIKE = ({"cougar", "leopard", "wild cat"}, {"chair", "windsor chair"})
INDEFINITE = {"airplane": "an airplane", "Garfield": "Garfield", "binoculars": "binoculars", "ant": "an ant"}


def about(classes=CLASSES, seed=0):
    random = np.random.default_rng(seed)
    photos = [LabelledImage(Path(f"{name}.jpg"), "train", class_name=name) for name in classes]
    return ObjectQuestions(photos, random, Wordings(random))


def test_the_name_and_its_synonyms_are_right():
    made = about()
    answers = {name: made.naming(number).answers for number, name in enumerate(CLASSES)}
    assert answers["airplane"] == ("An airplane.", "A plane.")
    assert answers["binoculars"] == ("Binoculars.", "A pair of binoculars.")
    assert answers["Garfield"][0] == "Garfield."
    assert answers["ant"] == ("An ant.",)
    exchange = made.naming(0)
    assert exchange.kind == "naming"
    assert exchange.question in WORDINGS["naming"]


def test_the_first_answer_is_the_class_itself():
    made = about()
    for number, name in enumerate(CLASSES):
        assert made.naming(number).answers[0].lower() == f"{INDEFINITE.get(name, f'a {name}')}.".lower()


def test_every_photo_gets_one_yes_about_its_object_and_one_no_about_another():
    made, denied = about(), defaultdict(set)
    asked_for = {way.format(thing=INDEFINITE.get(name, f"a {name}")): name for way in WORDINGS["presence"] for name in CLASSES}
    for number, name in enumerate(CLASSES):
        for _ in range(60):
            present, absent = made.presence(number)
            assert present.kind == absent.kind == "object presence"
            assert (present.answers, asked_for[present.question]) == (("Yes.",), name)
            assert absent.answers == ("No.",)
            denied[name].add(asked_for[absent.question])
    for name in CLASSES:
        same = next((group for group in ALIKE if name in group), {name})
        assert denied[name] == set(CLASSES) - same  # of all the others, but what may be the same is never denied


@pytest.mark.parametrize("name", CLASSES)
def test_what_is_alike_is_never_another_class(name):
    made = about()
    others = {made.another_class(name) for _ in range(80)}
    assert name not in others
    assert not [group for group in ALIKE if name in group and others & group]


def test_two_classes_are_each_other():
    made = about(("cup", "ant"))
    assert made.another_class("cup") == "ant"
    assert made.another_class("ant") == "cup"


def test_unknown_colours_are_asked_of_objects_that_are_not_there():
    made = about()
    for number, name in enumerate(CLASSES):
        for _ in range(20):
            absent, unknowable = made.unknown(number, share=1.0)
            other = absent.answers[0].removeprefix("There is no ").removesuffix(".")
            assert other in set(CLASSES) - {name}
            assert other in absent.question
            assert absent.question in {way.format(thing=other) for way in WORDINGS["colour"]}
            assert absent.answers[1:] == unknowable.answers == ("I cannot tell.",)
            assert unknowable.question in WORDINGS["unknowable"]
    assert about().unknown(0, share=0.0) == []


def test_shares_of_the_photos_are_described_and_asked_what_nobody_knows():
    made = about(("cup", "ant") * 500)
    described = [made.described(number) for number in range(1000)]
    assert 240 < sum(map(len, described)) < 360  # 30 %, by four deviations
    for number, exchanges in enumerate(described):
        for exchange in exchanges:
            assert exchange.question in WORDINGS["describe"]
            assert exchange.answers == made.naming(number).answers
    kinds = Counter(exchange.kind for number in range(1000) for exchange in made.unknown(number))
    assert kinds.keys() == {"absent thing", "unknowable"}
    assert all(60 < count < 140 for count in kinds.values())  # 10 % each


def test_questions_are_a_function_of_the_seed():
    asked = []
    for seed in (1, 1, 2):
        made = about(seed=seed)
        asked.append([(made.naming(n), made.presence(n), made.described(n), made.unknown(n)) for n in range(len(CLASSES))])
    assert asked[0] == asked[1] != asked[2]
