"""Questions about captioned photos, from what their captions agree on.

Yes and no are equally frequent for every thing that is asked for, so that no question is answered by its words. Knows captions and wordings; does
not know pixels.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from redvillm.training.caption_facts import ACTORS, absent_things, action, place, present_things, words_in
from redvillm.training.colours import THINGS, main_colour, names_of
from redvillm.training.concepts import CONCEPTS
from redvillm.training.datasets import LabelledImage
from redvillm.training.exchange import CANNOT_COUNT, CANNOT_TELL, NO, YES, Exchange, there_is_no, yes_no
from redvillm.training.wordings import Wordings

_MAX_PRESENT = 3
_UNKNOWN_SHARE = 0.12
_COUNTED = {"dogs": "a dog", "people": "a person", "children": "a child", "men": "a man", "women": "a woman"}
_NUMBERS = ("two", "three", "four", "five")


class PhotoQuestions:
    """What is asked about each photo of a list, besides its description."""

    def __init__(self, photos: Sequence[LabelledImage], generator: np.random.Generator, wordings: Wordings) -> None:
        self._photos, self._generator, self._wordings = photos, generator, wordings
        self._present = [present_things(photo.captions) for photo in photos]
        self._absent = [absent_things(photo.captions) for photo in photos]

    def describe(self, number: int) -> Exchange:
        """Ask for a description; every caption is right."""
        return Exchange("describe", self._wordings.ask("describe"), self._photos[number].captions)

    def presence(self, concepts: Sequence[str] = tuple(CONCEPTS), max_present: int | None = _MAX_PRESENT) -> Mapping[int, list[Exchange]]:
        """Return yes/no questions by photo: for every concept as many with yes as with no, at most `max_present` with yes a photo."""
        asked: dict[int, list[Exchange]] = defaultdict(list)
        with_thing: dict[str, list[int]] = defaultdict(list)
        for number, things in enumerate(self._present):
            candidates = [concept for concept in concepts if concept in things]
            for concept in self._generator.permutation(candidates)[:max_present] if candidates else ():
                with_thing[str(concept)].append(number)
        for concept in concepts:
            without = [number for number, things in enumerate(self._absent) if concept in things]
            count = min(len(with_thing[concept]), len(without))
            for numbers, answer in ((with_thing[concept], YES), (without, NO)):
                for place_ in self._generator.choice(len(numbers), count, replace=False):
                    asked[numbers[place_]].append(Exchange("presence", self._wordings.ask("presence", thing=concept), (answer,)))
        return asked

    def facts(self, number: int) -> list[Exchange]:
        """Ask for the colour of a thing, the place and the action, where captions agree on them."""
        captions, asked = self._photos[number].captions, []
        for thing in THINGS:
            if colour := main_colour(thing, captions):
                names = tuple(f"{name.capitalize()}." for name in names_of(thing, colour))
                asked.append(Exchange("colour", self._wordings.ask("colour", thing=thing), names))
        if where := place(captions):
            asked.append(Exchange("place", self._wordings.ask("place"), (where,)))
        actor, done = action(captions)
        if done:
            asked.append(Exchange("action", self._wordings.ask("action", who=actor), (done,)))
        return asked

    def unknown(self, number: int, share: float = _UNKNOWN_SHARE) -> list[Exchange]:
        """Ask what the photo cannot tell, each kind for a share of the photos: things that are not there, what no picture tells."""
        words, asked = words_in(self._photos[number].captions), []
        if self._generator.random() < share and (things := [thing for thing in THINGS if self._is_absent(thing, number, words)]):
            thing = str(self._generator.choice(things))
            asked.append(Exchange("absent thing", self._wordings.ask("colour", thing=thing), (there_is_no(thing), CANNOT_TELL)))
        if self._generator.random() < share and (actors := [actor for actor in ACTORS if f"a {actor}" in self._absent[number]]):
            actor = str(self._generator.choice(actors))
            asked.append(Exchange("absent thing", self._wordings.ask("action", who=actor), (there_is_no(actor), CANNOT_TELL)))
        if self._generator.random() < share:
            asked.append(Exchange("unknowable", self._wordings.ask("unknowable"), (CANNOT_TELL,)))
        return asked

    def counting(self, number: int) -> list[Exchange]:
        """Ask for the number of things where captions agree on it; the answer is the right number, see `cannot_count`."""
        captions = [f" {' '.join(re.findall(r'[a-z]+', caption.lower()))} " for caption in self._photos[number].captions]
        asked = []
        for things, concept in _COUNTED.items():
            single = concept.removeprefix("a ")
            counts = {word: sum(f" {word} {things} " in caption for caption in captions) for word in _NUMBERS}
            counts["one"] = 0 if any(f" {things} " in caption for caption in captions) else sum(f" {single} " in caption for caption in captions)
            found = [word for word, count in counts.items() if count]
            if len(found) == 1 and counts[found[0]] >= 2:
                asked.append(Exchange("counting", self._wordings.ask("counting", things=things), (f"{found[0].capitalize()}.",)))
        return asked

    def cannot_count(self, number: int, share: float = _UNKNOWN_SHARE) -> list[Exchange]:
        """Ask for a number for a share of the photos; the answer says that the model does not count."""
        things = [thing for thing, concept in _COUNTED.items() if concept in self._present[number]]
        if not things or self._generator.random() >= share:
            return []
        return [Exchange("counting", self._wordings.ask("counting", things=str(self._generator.choice(things))), (CANNOT_COUNT,))]

    def distinguishing(self, first: int, second: int) -> tuple[str, str] | None:
        """Return a thing that only the first photo has and one that only the second has, with "the"; None without such things."""
        only_first = _things(self._present[first] & self._absent[second])
        only_second = _things(self._present[second] & self._absent[first])
        if not only_first or not only_second:
            return None
        return definite(str(self._generator.choice(only_first))), definite(str(self._generator.choice(only_second)))

    def still_or_moving(self, *, moving: bool) -> Exchange:
        """Ask whether anything moves."""
        if self._generator.random() < 0.25:
            return Exchange("movement", self._wordings.ask("stillness"), (yes_no(not moving),))
        return Exchange("movement", self._wordings.ask("movement"), (yes_no(moving),))

    def _is_absent(self, thing: str, number: int, words: frozenset[str]) -> bool:
        concept = "a bicycle" if thing == "bike" else f"a {thing}"
        return concept in self._absent[number] if concept in CONCEPTS else not words.intersection((thing, f"{thing}s"))


def _things(concepts: Iterable[str]) -> list[str]:
    """Concepts that take "the": not "someone running" or "something red"."""
    return sorted(concept for concept in concepts if not concept.startswith("some"))


def definite(thing: str) -> str:
    """Return a concept with "the": "a dog" -> "the dog"."""
    return f"the {thing.removeprefix('a ').removeprefix('an ')}"
