"""Questions about clips that are made from photos: motion, zooms, things that appear, scene changes, the order of two scenes, darkness.

Knows how a clip was made; does not know pixels. A clip that is shown backwards is another clip with other answers, at no cost.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from redvillm.training.datasets import LabelledImage
from redvillm.training.exchange import CANNOT_TELL, NO, YES, Exchange, indefinite, sentence, there_is_no, yes_no
from redvillm.training.object_questions import ObjectQuestions
from redvillm.training.photo_questions import PhotoQuestions
from redvillm.training.question_clips import ClipWriter
from redvillm.training.views import DIRECTIONS
from redvillm.training.wordings import Wordings

STAYS = "It does not move."
OPPOSITE = {"left": "right", "right": "left", "up": "down", "down": "up", "": ""}
_SCENE_LENGTHS = (1, 2, 4, 8)
_DARK = ("It is dark.", "The video is dark.", "Nothing, it is dark.", "The picture is black.")
_ALL_KINDS = 0.35
SMALL_SHARES = (0.1, 0.2, 0.4, 0.8)


@dataclass(frozen=True)
class QuestionClip:
    """Names of the frames, in order, and what is asked about them."""

    frames: tuple[str, ...]
    exchanges: tuple[Exchange, ...]


class ClipQuestions:
    """Makes clips of one split with their questions."""

    def __init__(
        self,
        photos: Sequence[LabelledImage],
        objects: Sequence[LabelledImage],
        about: PhotoQuestions,
        about_objects: ObjectQuestions,
        *,
        writer: ClipWriter,
        generator: np.random.Generator,
        wordings: Wordings,
        backwards: bool,
    ) -> None:
        self._photos, self._objects, self._about, self._about_objects = photos, objects, about, about_objects
        self._writer, self._generator, self._wordings, self._backwards = writer, generator, wordings, backwards

    def moving(self, number: int) -> Iterator[QuestionClip]:
        """A patch that moves over a photo, or stays."""
        direction = str(self._generator.choice([*DIRECTIONS, ""]))
        first, second = self._two(len(self._photos))
        frames = self._writer.sprite(self._photos[first].path, self._patch_of(second), direction, f"moving-{number:05d}")
        for names, way in self._both_ways(frames, direction, OPPOSITE[direction]):
            answers = (sentence(way),) if way else (STAYS, "Nowhere.")
            asked = [Exchange("direction", self._wordings.ask("direction"), answers), self._about.still_or_moving(moving=bool(way))]
            yield QuestionClip(names, (*asked, *self._sometimes(self._no_change()), *self._sometimes(self._about.describe(first))))

    def zoom(self, number: int) -> Iterator[QuestionClip]:
        """The camera comes closer, or goes away."""
        photo = int(self._generator.integers(len(self._photos)))
        frames = self._writer.zoom(self._photos[photo].path, f"zoom-{number:05d}")
        for names, way in self._both_ways(frames, "in", "out"):
            zoom = Exchange("zoom", self._wordings.ask("zoom"), (f"It zooms {way}.", f"{way.capitalize()}."))
            yield QuestionClip(names, (zoom, self._no_change(), self._about.describe(photo)))

    def pan(self, number: int) -> Iterator[QuestionClip]:
        """The camera moves over a photo: the scene stays the same."""
        photo = int(self._generator.integers(len(self._photos)))
        frames = tuple(self._writer.pan(self._photos[photo].path, f"pan-{number:05d}"))
        yield QuestionClip(frames, (self._no_change(), self._about.describe(photo), *self._sometimes(self._about.still_or_moving(moving=True))))

    def still(self, number: int) -> Iterator[QuestionClip]:
        """A photo, as a camera at rest sees it."""
        photo = int(self._generator.integers(len(self._photos)))
        frames = tuple(self._writer.still(self._photos[photo].path, f"still-{number:05d}"))
        direction = Exchange("direction", self._wordings.ask("direction"), (STAYS, "Nowhere."))
        appears = Exchange("appearance", self._wordings.ask("appearance"), ("Neither.", "No."))
        asked = (self._about.still_or_moving(moving=False), self._no_change(), *self._sometimes(direction), *self._sometimes(appears))
        yield QuestionClip(frames, (*asked, self._about.describe(photo)))

    def appearing(self, number: int) -> Iterator[QuestionClip]:
        """Something appears on a photo, or disappears."""
        first, second = self._two(len(self._photos))
        frames = self._writer.appearing(self._photos[first].path, self._patch_of(second), f"appears-{number:05d}")
        for names, what in self._both_ways(frames, "appears", "disappears"):
            asked = Exchange("appearance", self._wordings.ask("appearance"), (f"Something {what}.", f"It {what}.", what))
            yield QuestionClip(names, (asked, *self._sometimes(self._about.describe(first))))

    def small_object(self, number: int) -> Iterator[QuestionClip]:
        """An object of some size on a photo: the smaller, the weaker in pooled features. Only measured, never trained."""
        share = SMALL_SHARES[number % len(SMALL_SHARES)]
        photo, own = int(self._generator.integers(len(self._photos))), int(self._generator.integers(len(self._objects)))
        name = self._objects[own].class_name
        asked = name if number // len(SMALL_SHARES) % 2 else self._about_objects.another_class(name)
        frames = tuple(self._writer.placed(self._photos[photo].path, self._objects[own].path, share, f"small-{number:05d}"))
        question = self._wordings.ask("presence", thing=indefinite(asked))
        yield QuestionClip(frames, (Exchange(f"object at {share:.0%} of the width", question, (yes_no(asked == name),)),))

    def dark(self, number: int) -> Iterator[QuestionClip]:
        """A dark clip: there is nothing to tell."""
        frames = tuple(self._writer.dark(f"dark-{number:05d}"))
        thing = str(self._generator.choice(["dog", "car", "man", "ball", "shirt"]))
        asked = (
            Exchange("dark", self._wordings.ask("describe"), _DARK),
            Exchange("dark", self._wordings.ask("naming"), (CANNOT_TELL, *_DARK)),
            Exchange("presence", self._wordings.ask("presence", thing=indefinite(thing)), (NO,)),
            Exchange("absent thing", self._wordings.ask("colour", thing=thing), (there_is_no(thing), CANNOT_TELL)),
            Exchange("dark", self._wordings.ask("place"), (CANNOT_TELL,)),
            Exchange("main colour", self._wordings.ask("main colour"), ("Black.",)),
            self._about.still_or_moving(moving=False),
        )
        yield QuestionClip(frames, asked)

    def two_objects(self, pictures: Sequence[str]) -> QuestionClip:
        """Two objects of different classes, one after the other; `pictures` are frames of the objects, in their order."""
        while True:
            first, second = self._two(len(self._objects))
            names = [self._objects[number].class_name for number in (first, second)]
            if names[0] != names[1]:
                break
        first_name, second_name = (sentence(indefinite(name)) for name in names)
        asked = [*self._order(f"the {names[0]}", f"the {names[1]}"), *self._ends((first_name,), (second_name,)), self._change()]
        return QuestionClip(self._scenes(pictures[first], pictures[second]), tuple(asked))

    def two_photos(self, pictures: Sequence[str]) -> QuestionClip:
        """Two photos one after the other, each with a thing that the other lacks where captions tell."""
        for _ in range(4):
            first, second = self._two(len(self._photos))
            if things := self._about.distinguishing(first, second):
                break
        captions = (self._photos[first].captions, self._photos[second].captions)
        asked = [*(self._order(*things) if things else ()), *self._sometimes(*self._ends(*captions)), self._change()]
        return QuestionClip(self._scenes(pictures[first], pictures[second]), tuple(asked))

    def photo_and_object(self, photos: Sequence[str], objects: Sequence[str]) -> QuestionClip:
        """A photo and an object, one after the other."""
        photo, object_ = int(self._generator.integers(len(photos))), int(self._generator.integers(len(objects)))
        name, captions = self._objects[object_].class_name, self._photos[photo].captions
        scenes = [(photos[photo], captions), (objects[object_], (sentence(indefinite(name)),))]
        if self._generator.random() < 0.5:
            scenes.reverse()
        (first, first_answers), (second, second_answers) = scenes
        return QuestionClip(self._scenes(first, second), (*self._ends(first_answers, second_answers), self._change()))

    def _order(self, first: str, second: str) -> list[Exchange]:
        """Ask which of two things with their articles comes first and last, and whether one is before the other."""
        asked = []
        for kind, answer in (("order", first), ("order, last", second)):
            listed = self._shuffled(first, second)
            text = self._wordings.ask(kind, first=listed[0], second=listed[1])
            bare = answer.removeprefix("the ")
            asked.append(Exchange("order", text, (sentence(answer), sentence(indefinite(bare)))))
        listed = self._shuffled(first, second)
        before = bool(self._generator.random() < 0.5)
        text = self._wordings.ask("before" if before else "after", first=listed[0], second=listed[1])
        asked.append(Exchange("before", text, (yes_no((listed[0] == first) == before),)))
        return asked

    def _ends(self, first: Sequence[str], second: Sequence[str]) -> list[Exchange]:
        return [Exchange(f"{end} scene", self._wordings.ask(end), tuple(answers)) for end, answers in (("first", first), ("last", second))]

    def _scenes(self, first: str, second: str) -> tuple[str, ...]:
        if self._generator.random() < 0.5:
            length = int(self._generator.choice(_SCENE_LENGTHS))
            return (first,) * length + (second,) * length
        lengths = self._generator.integers(2, 9, 2)
        return (first,) * int(lengths[0]) + (second,) * int(lengths[1])

    def _change(self) -> Exchange:
        return Exchange("scene change", self._wordings.ask("scene change"), (YES,))

    def _no_change(self) -> Exchange:
        return Exchange("scene change", self._wordings.ask("scene change"), (NO,))

    def _both_ways(self, frames: Sequence[str], forwards: str, backwards: str) -> Iterator[tuple[tuple[str, ...], str]]:
        """The clip and the same backwards; only one of them, by chance, when `backwards` is off."""
        ways = [(tuple(frames), forwards), (tuple(reversed(frames)), backwards)]
        if not self._backwards:
            ways = [ways[int(self._generator.integers(2))]]
        yield from ways

    def _sometimes(self, *exchanges: Exchange) -> tuple[Exchange, ...]:
        return exchanges if self._generator.random() < _ALL_KINDS else ()

    def _shuffled(self, first: str, second: str) -> tuple[str, str]:
        return (first, second) if self._generator.random() < 0.5 else (second, first)

    def _patch_of(self, photo: int) -> Path:
        """Half of the patches are objects, half parts of photos."""
        if self._generator.random() < 0.5:
            return self._objects[int(self._generator.integers(len(self._objects)))].path
        return self._photos[photo].path

    def _two(self, count: int) -> tuple[int, int]:
        first, second = self._generator.choice(count, 2, replace=False)
        return int(first), int(second)
