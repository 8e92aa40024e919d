"""Questions about captioned photos: balanced, and right as far as captions tell."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from redvillm.training.caption_facts import absent_things, present_things
from redvillm.training.concepts import CONCEPTS, OPEN_WORDS
from redvillm.training.datasets import LabelledImage
from redvillm.training.photo_questions import PhotoQuestions, definite
from redvillm.training.wordings import WORDINGS, Wordings

WORDS = sorted({form for forms in (*CONCEPTS.values(), *OPEN_WORDS.values()) for form in forms})
ASKED_FOR = {way.format(thing=concept): concept for way in WORDINGS["presence"] for concept in CONCEPTS}


def photo_of(*captions, name="photo"):
    return LabelledImage(Path(f"{name}.jpg"), "train", captions)


def random_photos(count, seed):
    """Photos whose captions are words of concepts, two captions of three words that agree and one of others."""
    random = np.random.default_rng(seed)
    photos = []
    for number in range(count):
        agreed = " ".join(random.choice(WORDS, 3))
        photos.append(photo_of(f"{agreed}.", f"The {agreed}", " ".join(random.choice(WORDS, 2)), name=str(number)))
    return photos


def about(photos, seed=0, *, kept_back=False):
    random = np.random.default_rng(seed)
    return PhotoQuestions(photos, random, Wordings(random, kept_back=kept_back))


def named_by(photo, words):
    """How many captions of a photo name one of the words."""
    return sum(not set(caption.lower().replace(".", "").split()).isdisjoint(words) for caption in photo.captions)


def asked_about_presence(asked):
    return [(number, ASKED_FOR[exchange.question], exchange.answers) for number, exchanges in asked.items() for exchange in exchanges]


@pytest.mark.parametrize(("count", "max_present"), [(1, 3), (2, 1), (97, 1), (97, 3), (97, None)])
def test_yes_and_no_are_equally_frequent_for_every_thing(count, max_present):
    asked = asked_about_presence(about(random_photos(count, 5), 1).presence(max_present=max_present))
    counts = Counter((concept, answers) for _, concept, answers in asked)
    for concept in CONCEPTS:
        assert counts[concept, ("Yes.",)] == counts[concept, ("No.",)]
    assert sum(counts.values()) == len(asked)
    if count == 97:
        assert sum(count > 0 for count in counts.values()) > len(CONCEPTS)
    yes = Counter(number for number, _, answers in asked if answers == ("Yes.",))
    if max_present:
        assert max(yes.values(), default=0) <= max_present
    else:
        assert max(yes.values()) > 3


def test_captions_bear_out_every_yes_and_every_no():
    photos = random_photos(60, 8)
    asked = asked_about_presence(about(photos, 2).presence(max_present=None))
    assert len(asked) > 200
    for number, concept, answers in asked:
        if answers == ("Yes.",):
            assert named_by(photos[number], CONCEPTS[concept]) >= 2
        else:
            assert answers == ("No.",)
            assert named_by(photos[number], (*CONCEPTS[concept], *OPEN_WORDS.get(concept, ()))) == 0


def test_a_photo_is_asked_once_about_a_thing():
    asked = asked_about_presence(about(random_photos(40, 9), 3).presence(max_present=None))
    assert max(Counter((number, concept) for number, concept, _ in asked).values()) == 1


def test_only_the_concepts_that_are_given_are_asked_about():
    asked = asked_about_presence(about(random_photos(60, 1)).presence(["a dog", "water"], max_present=None))
    assert {concept for _, concept, _ in asked} == {"a dog", "water"}


def test_a_thing_that_all_photos_have_or_leave_open_is_not_asked_about():
    photos = [photo_of("A dog.", "The dog.")] * 3 + [photo_of("A person.", "Someone.")] * 3
    asked = {concept for _, concept, _ in asked_about_presence(about(photos).presence())}
    assert "a dog" in asked
    assert not asked & {"a man", "a woman", "snow"}


def test_a_description_is_right_with_any_caption():
    made = about([photo_of("A dog.", "The dog runs.")]).describe(0)
    assert (made.kind, made.answers) == ("describe", ("A dog.", "The dog runs."))
    assert made.question in WORDINGS["describe"]


def test_facts_are_asked_where_captions_agree():
    photos = [
        photo_of("A brown dog runs on the beach.", "The brown dog is running on the beach."),
        photo_of("A brown dog runs on the beach.", "A dog."),
    ]
    asked = {exchange.kind: exchange for exchange in about(photos).facts(0)}
    assert {kind: exchange.answers for kind, exchange in asked.items()} == {
        "colour": ("Brown.",),
        "place": ("On the beach.",),
        "action": ("Running.",),
    }
    assert "dog" in asked["colour"].question
    assert "dog" in asked["action"].question
    assert about(photos).facts(1) == []


def test_every_name_of_a_colour_is_right():
    (colour,) = about([photo_of("A golden dog.", "A tan dog.")]).facts(0)
    assert colour.answers[0] == "Tan."
    assert {"Golden.", "Yellow.", "Beige."} < set(colour.answers)


def test_what_is_not_there_is_asked_about_and_said_not_to_be_there():
    photo = photo_of("A man in a red shirt rides a bicycle.", "The man has shirts.", "Two boats.")
    asked = [exchange for seed in range(80) for exchange in about([photo], seed).unknown(0, share=1.0)]
    assert Counter(exchange.kind for exchange in asked) == {"absent thing": 160, "unknowable": 80}
    absent = set()
    for exchange in asked:
        if exchange.kind == "unknowable":
            assert exchange.answers == ("I cannot tell.",)
            assert exchange.question in WORDINGS["unknowable"]
        else:
            thing = exchange.answers[0].removeprefix("There is no ").removesuffix(".")
            assert thing in exchange.question
            assert exchange.answers == (f"There is no {thing}.", "I cannot tell.")
            absent.add(thing)
    assert {"dog", "horse", "jacket", "helmet", "boy", "woman"} < absent
    assert not absent & {"man", "shirt", "bike", "boat"}


def test_open_things_are_not_said_to_be_absent():
    photo = photo_of("A skateboarder wearing black.", "Someone jumps.")
    asked = [exchange.answers[0] for seed in range(60) for exchange in about([photo], seed).unknown(0, share=1.0)]
    assert "There is no dog." in asked
    assert not {"There is no man.", "There is no girl.", "There is no hat."} & set(asked)


@pytest.mark.parametrize(("share", "lowest", "highest"), [(0.0, 0, 0), (0.12, 60, 130), (1.0, 800, 800)])
def test_a_share_of_the_photos_gets_a_question_without_an_answer(share, lowest, highest):
    made = about([photo_of("Zebra.")] * 800, 4)
    asked = [made.unknown(number, share) for number in range(800)]
    assert lowest <= sum(exchange.kind == "unknowable" for exchanges in asked for exchange in exchanges) <= highest
    made = about([photo_of("Two dogs.", "dogs")] * 800, 4)
    assert lowest <= sum(len(made.cannot_count(number, share)) for number in range(800)) <= highest


@pytest.mark.parametrize(
    ("captions", "things", "answer"),
    [
        (["Two dogs run.", "There are two dogs.", "Dogs."], "dogs", "Two."),
        (["A dog runs.", "The dog is brown."], "dogs", "One."),
        (["Five people.", "five people walk"], "people", "Five."),
        (["Three children play.", "Three children."], "children", "Three."),
    ],
)
def test_captions_must_agree_on_a_number(captions, things, answer):
    asked = about([photo_of(*captions)]).counting(0)
    assert [(exchange.kind, exchange.answers) for exchange in asked] == [("counting", (answer,))]
    assert things in asked[0].question


@pytest.mark.parametrize(
    "captions", [["Two dogs."], ["Two dogs.", "Two dogs.", "Three dogs."], ["A dog runs.", "A dog and other dogs run."], ["A cat."]]
)
def test_without_agreement_no_number_is_asked_for(captions):
    assert about([photo_of(*captions)]).counting(0) == []


def test_counts_that_the_model_cannot_give_are_asked_about_things_that_are_there():
    photos = [photo_of("Two dogs.", "dogs"), photo_of("A cat.", "A cat.")]
    (asked,) = about(photos).cannot_count(0, share=1.0)
    assert asked.answers == ("I cannot count them.",)
    assert "dogs" in asked.question
    assert about(photos).cannot_count(1, share=1.0) == []


def test_each_of_two_photos_has_what_the_other_lacks():
    photos = [
        photo_of("A dog in snow.", "The dog, snow."),
        photo_of("A car, a horse.", "horse and car"),
        photo_of("A dog.", "A dog."),
        photo_of("Zebra.", "Zebra."),
    ]
    made = about(photos)
    pairs = {made.distinguishing(0, 1) for _ in range(60)}
    assert pairs == {(first, second) for first in ("the dog", "the snow") for second in ("the car", "the horse")}
    assert made.distinguishing(1, 0)[0] in {"the car", "the horse"}
    assert made.distinguishing(0, 2) is None  # the second has nothing of its own
    assert made.distinguishing(0, 3) is None
    assert made.distinguishing(3, 3) is None


def test_what_one_photo_leaves_open_does_not_tell_it_from_another():
    photos = [
        photo_of("A man.", "The man."),
        photo_of("A skier and a dog.", "A skier, a dog."),
        photo_of("A dog.", "Wet dog."),
        photo_of("Water.", "Water."),
    ]
    made = about(photos)
    assert made.distinguishing(0, 1) is None  # the skier may be a man
    assert made.distinguishing(3, 2) is None  # and what is wet may be in water
    assert made.distinguishing(0, 3) in {("the man", "the water"), ("the person", "the water")}


def test_a_thing_is_there_or_not_or_left_open():
    captions = photo_of("A person runs.", "The person.", "A car.").captions
    present, absent = present_things(captions), absent_things(captions)
    assert "a person" in present - absent
    assert "a dog" in absent - present
    assert "a man" not in present | absent
    assert "a car" not in present | absent  # one voice


def test_what_someone_does_is_not_a_thing_that_comes_first():
    running, red = photo_of("Someone running far.", "They are running."), photo_of("Something red.", "A red one.")
    assert about([running, red]).distinguishing(0, 1) is None


def test_parts_of_words_are_not_counted():
    assert about([photo_of("Two menacing dogs.", "Two menacing, big dogs.")]).counting(0) == []
    (asked,) = about([photo_of("Two women, smiling.", "I see two women.")]).counting(0)
    assert asked.question.count("women") == 1
    assert asked.answers == ("Two.",)


@pytest.mark.parametrize("kept_back", [False, True])
def test_movement_and_stillness_have_opposite_answers(kept_back):
    made, answers = about([], kept_back=kept_back), set()
    for moving in (True, False):
        for _ in range(60):
            exchange = made.still_or_moving(moving=moving)
            is_about_rest = exchange.question in WORDINGS["stillness"]
            assert is_about_rest != (exchange.question in WORDINGS["movement"])
            assert exchange.answers == (("Yes.",) if moving != is_about_rest else ("No.",))
            answers.add((is_about_rest, exchange.answers))
    assert len(answers) == 4


def test_a_concept_gets_its_definite_article():
    assert [definite(thing) for thing in ("a dog", "an apple", "water", "a group of people", "a")] == [
        "the dog",
        "the apple",
        "the water",
        "the group of people",
        "the a",
    ]


def test_questions_are_a_function_of_the_seed():
    photos = random_photos(30, 2)

    def all_asked(seed):
        made = about(photos, seed)
        return [dict(made.presence())] + [[made.describe(n), made.facts(n), made.unknown(n), made.cannot_count(n)] for n in range(30)]

    assert all_asked(1) == all_asked(1) != all_asked(2)
