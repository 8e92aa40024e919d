"""Captions must agree before anything is said of a photo."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redvillm.training.caption_facts import ACTORS, absent_things, action, place, present_things, words_in
from redvillm.training.colours import THINGS, main_colour, names_of
from redvillm.training.concepts import CONCEPTS, OPEN_WORDS

# whoever is the first is the second too
KINDS_OF = {
    "a man": "a person",
    "a woman": "a person",
    "a child": "a person",
    "a boy": "a child",
    "a girl": "a child",
    "a group of people": "a person",
    "a swimming pool": "water",
}
VOCABULARY = sorted({form for forms in (*CONCEPTS.values(), *OPEN_WORDS.values()) for form in forms} | {"a", "the", "in", "on", "two", "brown"})
sentences = st.lists(st.sampled_from(VOCABULARY), max_size=8).map(" ".join)
caption_lists = st.lists(sentences | st.text(max_size=30), max_size=5)


def test_concepts_are_whole_words():
    assert "a dog" in present_things(["Two dogs play.", "The dogs!"])
    assert "a car" not in present_things(["A cartoon on a carpet."] * 2)
    assert "a car" in absent_things(["A cartoon on a carpet."])
    assert "a boat" in absent_things(["A man."])
    assert present_things(["A man.", "MAN"]) >= {"a man", "a person"}


def test_no_word_of_a_concept_could_never_be_found():
    words = {word for table in (CONCEPTS, OPEN_WORDS) for forms in table.values() for word in forms}
    assert all(words_in([word]) == {word} for word in words)
    assert OPEN_WORDS.keys() <= CONCEPTS.keys()


@pytest.mark.parametrize(
    ("captions", "present", "absent"),
    [
        (["A dog.", "A dog."], True, False),
        (["A dog.", "A cat."], False, False),  # one voice
        (["A dog and a dog.", "A cat."], False, False),  # one caption is one voice
        (["A cat.", "A cat."], False, True),
        (["A puppy.", "dogs", "A cat."], True, False),  # several words, one thing
        ([], False, True),
    ],
)
def test_two_captions_must_name_a_thing(captions, present, absent):
    assert ("a dog" in present_things(captions)) == present
    assert ("a dog" in absent_things(captions)) == absent


@pytest.mark.parametrize(
    ("captions", "thing"),
    [
        (["A skateboarder jumps.", "A skateboarder."], "a man"),
        (["A person runs.", "Someone runs."], "a woman"),
        (["A child."] * 2, "a girl"),
        (["Two wrestlers fight.", "Wrestlers."], "a person"),
        (["A male jumps."], "a person"),
        (["A wet dog."] * 2, "water"),
        (["Three dogs."] * 2, "a group of people"),
        (["Wearing blue."] * 2, "a hat"),
    ],
)
def test_open_words_leave_a_thing_neither_present_nor_absent(captions, thing):
    assert thing not in present_things(captions)
    assert thing not in absent_things(captions)


@pytest.mark.parametrize("thing", OPEN_WORDS)
def test_every_open_word_takes_away_the_absence(thing):
    assert thing in absent_things(["Zebra."])
    assert not [word for word in OPEN_WORDS[thing] if thing in absent_things(["Zebra.", f"One {word.upper()}, here."])]


@settings(deadline=None)
@given(caption_lists)
def test_nothing_is_both_present_and_absent(captions):
    present, absent = present_things(captions), absent_things(captions)
    assert not present & absent
    assert present | absent <= CONCEPTS.keys()


@settings(deadline=None)
@given(caption_lists, sentences)
def test_one_more_caption_only_adds_presence_and_only_removes_absence(captions, another):
    assert present_things(captions) <= present_things([*captions, another])
    assert absent_things(captions) >= absent_things([*captions, another])


@settings(deadline=None)
@given(st.lists(sentences, max_size=5))
def test_facts_are_counts_of_words(captions):
    split = [set(caption.split()) for caption in captions]
    named = {concept: sum(not words.isdisjoint(forms) for words in split) for concept, forms in CONCEPTS.items()}
    opened = {concept for concept, forms in OPEN_WORDS.items() if any(not words.isdisjoint(forms) for words in split)}
    assert present_things(captions) == {concept for concept, count in named.items() if count >= 2}
    assert absent_things(captions) == {concept for concept, count in named.items() if count == 0} - opened


@settings(deadline=None)
@given(caption_lists)
def test_no_photo_has_a_boy_and_nobody(captions):
    present, absent = present_things(captions), absent_things(captions)
    assert not [(narrow, wide) for narrow, wide in KINDS_OF.items() if narrow in present and wide in absent]


@settings(deadline=None)
@given(caption_lists)
def test_any_captions_have_at_most_one_place_action_and_colour(captions):
    assert re.fullmatch(r"([A-Z][a-z ]+\.)?", place(captions))
    actor, done = action(captions)
    assert bool(actor) == bool(done)
    assert actor in {"", *ACTORS}
    assert re.fullmatch(r"([A-Z][a-z ]+\.)?", done)
    for thing in THINGS:
        colour = main_colour(thing, captions)
        assert not colour or sum(f" {thing}" in caption.lower() for caption in captions) >= 2


@pytest.mark.parametrize(
    ("captions", "where"),
    [
        (["A dog runs on the beach.", "A dog at the sandy shore."], "On the beach."),
        (["A man in the deep snow.", "He skis down a snowy slope."], "In the snow."),
        (["She jumps into a blue pool.", "A girl in the swimming pool."], "In a pool."),
        (["A dog swims in the sea.", "A dog in the sea"], "In the water."),
        (["A dog runs through tall grass.", "DOG ON THE LAWN"], "On the grass."),
        (["He walks down the busy street.", "A man on a sidewalk"], "On the street."),
        (["A walk in the woods.", "A trail through the forest."], "In the woods."),
        (["A man on a cliff.", "A rock climber."], "In the mountains."),
        (["A boy on a couch.", "A boy lies on the sofa."], "Inside a room."),
        (["A girl on a trampoline.", "A playground."], "On a playground."),
        (["A band on stage.", "A concert."], "On a stage."),
        (["A dog on the beach.", "A dog."], ""),  # one voice
        (["On the beach.", "On the beach.", "On the street."], ""),  # they disagree
        (["A man in a seat.", "A man sits on a red seat."], ""),  # a seat is no sea
        (["A boy lays a bedsheet.", "A bedsheet."], ""),
        (["A dog."] * 5, ""),
        ([], ""),
    ],
)
def test_captions_must_agree_on_a_place(captions, where):
    assert place(captions) == where


@pytest.mark.parametrize(
    ("captions", "wanted"),
    [
        (["A dog runs.", "The dog is running fast."], ("dog", "Running.")),
        (["Two men sit.", "A man is seated.", "A man sits."], ("man", "Sitting.")),
        (["Women dance.", "A woman dances.", "A dancing woman."], ("woman", "Dancing.")),
        (["A boy leaps.", "A boy in midair.", "A boy"], ("boy", "Jumping.")),
        (["A dog runs.", "A dog."], ("", "")),  # one voice
        (["A dog runs.", "A dog runs.", "A dog swims."], ("", "")),  # two actions
        (["A dog runs.", "A dog runs.", "A boy runs."], ("", "")),  # two actors
        (["It runs.", "It runs."], ("", "")),  # nobody
        (["A woman.", "A woman runs.", "She runs."], ("woman", "Running.")),  # "woman" is no "man"
        ([], ("", "")),
    ],
)
def test_captions_must_agree_on_who_does_what(captions, wanted):
    assert action(captions) == wanted


@pytest.mark.parametrize(
    ("captions", "colour"),
    [
        (["A brown dog runs.", "The brown dog is out."], "brown"),
        (["A golden dog runs.", "A tan dog.", "A dog."], "tan"),
        (["A brown dog runs.", "A dog."], ""),  # one voice
        (["A brown dog.", "A brown dog.", "A black dog."], ""),  # they disagree
        (["A brown dogfish.", "A brown dogfish."], ""),
        (["A brown dog and a brown dog.", "A dog."], ""),  # one caption is one voice
        (["A GRAY dog.", "A grey dog."], "grey"),
        ([], ""),
    ],
)
def test_captions_must_agree_on_a_colour(captions, colour):
    assert main_colour("dog", captions) == colour


def test_all_names_of_a_colour_are_right():
    assert names_of("dog", "tan") == ("tan", "beige", "blond", "blonde", "golden", "yellow")
    assert names_of("shirt", "yellow") == ("yellow",)
    assert names_of("shirt", "grey") == ("grey", "gray")


def test_a_colour_is_among_its_own_names_and_no_name_means_two_colours():
    for thing in THINGS:
        colours = {main_colour(thing, [f"A {name} {thing}."] * 2) for name in ("black", "tan", "golden", "gray", "grey", "yellow", "beige", "red")}
        assert "" not in colours
        names = [name for colour in colours for name in names_of(thing, colour)]
        assert len(names) == len(set(names))
        assert colours <= set(names)
