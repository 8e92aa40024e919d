"""`python -m redvillm.training.question_files`: questions about held-out photos and clips, in the form that `redvillm eval` reads.

Yes and no are equally frequent for every thing that is asked about. Nothing here was seen in training: photos are split by the hash of their name.
Knows the data sets and phrasings; does not know models.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

from redvillm.errors import OptionsError, RedvillmError
from redvillm.files import atomic_file
from redvillm.training.colours import THINGS, main_colour, names_of
from redvillm.training.datasets import LabelledImage, read_caltech101, read_flickr8k
from redvillm.training.question_clips import ClipWriter
from redvillm.training.questions import CONCEPTS, NO, YES, concepts_in, with_article
from redvillm.training.views import DIRECTIONS

_SPLITS = ("test", "validation")
_NUM_CONCEPTS = 12
_NUM_CLIPS = 150
Line = dict[str, Any]


class QuestionFile:
    """All questions of one split, made as they are taken; pictures are written on the way."""

    def __init__(self, data: Path, folder: Path, *, split: str, image_size: int, seed: int, max_photos: int | None = None) -> None:
        """Find the photos.

        Raises:
            OptionsError: no data there, or no photo in the split.
        """
        self._photos = [photo for photo in read_flickr8k(data / "flickr8k") if photo.split == split][:max_photos]
        self._objects = [photo for photo in read_caltech101(data / "caltech101") if photo.split == split and photo.class_name][:max_photos]
        if len(self._photos) < 2 or len({photo.class_name for photo in self._objects}) < 2:
            raise OptionsError(f"{data} has too few photos in the split {split!r}; see docs/training.md for the form of the data")
        self._writer = ClipWriter(folder, image_size, seed)
        self._generator = np.random.default_rng([seed, 7])

    def lines(self) -> Iterator[Line]:
        """Yield one question after the other."""
        yield from self._descriptions()
        yield from self._names()
        for number in track(range(min(_NUM_CLIPS, 4 * len(self._photos))), description="clips"):
            yield from self._moving(number)
            yield from self._change(number)
            yield from self._order(number)

    def _descriptions(self) -> Iterator[Line]:
        names = {photo.path: self._writer.photo(photo.path, photo.path.stem) for photo in track(self._photos, description="photos")}
        present = {photo.path: concepts_in(photo.captions) for photo in self._photos}
        for photo in self._photos:
            yield _line(names[photo.path], "describe", "What is happening?", photo.captions)
            for thing in THINGS:
                if colour := main_colour(thing, photo.captions):
                    yield _line(names[photo.path], "colour", f"What colour is the {thing}?", names_of(thing, colour))
        frequent = sorted(CONCEPTS, key=lambda concept: -sum(concept in found for found in present.values()))[:_NUM_CONCEPTS]
        for concept in frequent:
            for path, answer in self._balanced(concept, present):
                yield _line(names[path], "presence", f"Is there {concept}?", (answer,))

    def _balanced(self, concept: str, present: dict[Path, frozenset[str]]) -> Iterator[tuple[Path, str]]:
        groups = [[path for path, found in present.items() if (concept in found) == wanted] for wanted in (True, False)]
        count = min(len(group) for group in groups)
        for group, answer in zip(groups, (YES, NO), strict=True):
            for index in self._generator.choice(len(group), count, replace=False):
                yield group[index], answer

    def _names(self) -> Iterator[Line]:
        for photo in track(self._objects, description="objects"):
            names = self._writer.photo(photo.path, f"{photo.path.parent.name}-{photo.path.stem}")
            yield _line(names, "naming", "What object is this?", (f"{with_article(photo.class_name).capitalize()}.",))

    def _moving(self, number: int) -> Iterator[Line]:
        direction = str(self._generator.choice([*DIRECTIONS, ""]))
        first, second = self._two(self._photos)
        names = self._writer.sprite(first.path, second.path, direction, f"moving-{number:04d}")
        yield _line(names, "direction", "Which way does it move?", (f"{direction.capitalize()}." if direction else "It does not move.",))
        yield _line(names, "movement", "Is anything moving?", (YES if direction else NO,))

    def _change(self, number: int) -> Iterator[Line]:
        first, second = self._two(self._photos)
        name = f"scene-{number:04d}"
        changes = number % 2 == 0
        names = self._writer.scenes((first.path, second.path), name) if changes else self._writer.pan(first.path, name)
        yield _line(names, "scene change", "Does the scene change?", (YES if changes else NO,))

    def _order(self, number: int) -> Iterator[Line]:
        first, second = self._two(self._objects)
        while first.class_name == second.class_name:
            first, second = self._two(self._objects)
        names = self._writer.scenes((first.path, second.path), f"order-{number:04d}")
        listed = [first.class_name, second.class_name] if number % 2 else [second.class_name, first.class_name]
        question = f"Which comes first, the {listed[0]} or the {listed[1]}?"
        yield _line(names, "order", question, (f"The {first.class_name}.", f"{with_article(first.class_name).capitalize()}."))

    def _two(self, photos: Sequence[LabelledImage]) -> tuple[LabelledImage, LabelledImage]:
        first, second = self._generator.choice(len(photos), 2, replace=False)
        return photos[first], photos[second]


def main(arguments: list[str] | None = None) -> int:
    """Write questions.jsonl and its frames; return 0, or 1 after an error."""
    parser = argparse.ArgumentParser(prog="python -m redvillm.training.question_files", description="Write held-out questions for 'redvillm eval'.")
    parser.add_argument("--data", type=Path, required=True, metavar="DATA", help="folder of flickr8k and caltech101, see docs/training.md")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where questions.jsonl and its frames go")
    parser.add_argument("--split", choices=_SPLITS, default="test", help="part of the photos (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the choices (default: %(default)s)")
    parser.add_argument("--image-size", type=int, default=224, metavar="PIXELS", help="of the frames, square (default: %(default)s)")
    given = parser.parse_args(arguments)
    try:
        questions = QuestionFile(given.data, given.out, split=given.split, image_size=given.image_size, seed=given.seed)
        lines = [json.dumps(line, ensure_ascii=False) for line in questions.lines()]
        with atomic_file(given.out / "questions.jsonl") as temporary:
            temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
    except RedvillmError as error:
        print(f"redvillm: error: {error}", file=sys.stderr)
        return 1
    print(f"{len(lines)} questions written to {given.out / 'questions.jsonl'}")
    return 0


def _line(frames: list[str], kind: str, question: str, answers: Sequence[str]) -> Line:
    return {"frames": frames, "kind": kind, "question": question, "answers": list(answers)}


if __name__ == "__main__":
    sys.exit(main())
