"""`python -m redvillm.training.question_files`: questions about photos and clips, in the form that `redvillm train` and `redvillm eval` read.

Yes and no are equally frequent for every thing that is asked about. Photos are split by the hash of their name, and so is all that is made of them;
no split has near copies of photos that a later one keeps.
Knows the data sets and how many clips of each kind are made; does not know models.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

from redvillm.cli.program import run_program
from redvillm.cli.values import integer
from redvillm.errors import OptionsError
from redvillm.files import atomic_file
from redvillm.training.clip_questions import ClipQuestions, QuestionClip
from redvillm.training.concepts import CONCEPTS
from redvillm.training.datasets import LabelledImage, read_caltech101, read_flickr8k
from redvillm.training.exchange import Exchange, sentence
from redvillm.training.main_colours import picture_colour
from redvillm.training.near_copies import near_copies
from redvillm.training.object_questions import ObjectQuestions
from redvillm.training.photo_questions import PhotoQuestions
from redvillm.training.question_clips import ClipWriter
from redvillm.training.views import read_pixels
from redvillm.training.wordings import Wordings

SPLITS = ("train", "validation", "test")
_TESTED_CONCEPTS = tuple(CONCEPTS)[:12]
Line = dict[str, Any]


@dataclass(frozen=True)
class Amounts:
    """How many clips are made.

    `views` of every photo and object; `changing` zooms and as many things that appear; `steady` pans and as many clips of a camera at rest; with
    `backwards`, clips that move or change count backwards too.
    """

    views: int
    object_views: int
    moving: int
    changing: int
    steady: int
    orders: int
    dark: int
    backwards: bool
    small: int = 0


AMOUNTS = {
    "train": Amounts(views=3, object_views=2, moving=2500, changing=800, steady=350, orders=5000, dark=80, backwards=True),
    "validation": Amounts(views=1, object_views=1, moving=150, changing=60, steady=60, orders=150, dark=4, backwards=False),
    "test": Amounts(views=1, object_views=1, moving=300, changing=100, steady=100, orders=300, dark=10, backwards=False, small=400),
}


class QuestionFile:
    """All questions of one split, made as they are taken; pictures are written on the way."""

    def __init__(
        self, data: Path, folder: Path, *, split: str, image_size: int, seed: int, kept_back: bool = False, amounts: Amounts | None = None
    ) -> None:
        """Find the photos; `kept_back` asks in the wordings that training leaves out.

        Raises:
            OptionsError: no data there, or no photo in the split.
        """
        self._photos = _of_split(read_flickr8k(data / "flickr8k"), split)
        self._objects = _of_split([photo for photo in read_caltech101(data / "caltech101") if photo.class_name], split)
        if len(self._photos) < 2 or len({photo.class_name for photo in self._objects}) < 2:
            raise OptionsError(f"{data} has too few photos in the split {split!r}; see docs/training.md for the form of the data")
        self._amounts, self._training, self._size = amounts or AMOUNTS[split], split == "train", image_size
        self._writer = ClipWriter(folder, image_size, seed)
        self._generator = np.random.default_rng([seed, 7, *split.encode()])
        wordings = Wordings(self._generator, kept_back=kept_back)
        self._wordings = wordings
        self._about_photos = PhotoQuestions(self._photos, self._generator, wordings)
        self._about_objects = ObjectQuestions(self._objects, self._generator, wordings)
        self._clips = ClipQuestions(
            self._photos,
            self._objects,
            self._about_photos,
            self._about_objects,
            writer=self._writer,
            generator=self._generator,
            wordings=wordings,
            backwards=self._amounts.backwards,
        )

    def lines(self) -> Iterator[Line]:
        """Yield one question after the other; those about one clip follow each other."""
        for clip in self.clips():
            for exchange in clip.exchanges:
                yield {"frames": list(clip.frames), "kind": exchange.kind, "question": exchange.question, "answers": list(exchange.answers)}

    def clips(self) -> Iterator[QuestionClip]:
        """Yield the clips."""
        photos: list[str] = []
        for view in range(self._amounts.views):
            yield from self._photo_clips(view, photos)
        objects: list[str] = []
        for view in range(self._amounts.object_views):
            yield from self._object_clips(view, objects)
        yield from self._made(self._clips.moving, self._amounts.moving, "moving patches")
        amounts = self._amounts
        made = ((self._clips.zoom, amounts.changing), (self._clips.appearing, amounts.changing), (self._clips.pan, amounts.steady))
        for make, count in (*made, (self._clips.still, amounts.steady)):
            yield from self._made(make, count, make.__name__)
        yield from self._made(self._clips.dark, self._amounts.dark, "dark")
        yield from self._made(self._clips.small_object, self._amounts.small, "small objects")
        for number in range(self._amounts.orders):
            if number % 5 < 3:
                yield self._clips.two_objects(objects)
            else:
                yield self._clips.two_photos(photos) if number % 5 == 3 else self._clips.photo_and_object(photos, objects)

    def _photo_clips(self, view: int, names: list[str]) -> Iterator[QuestionClip]:
        """One view of every photo; the first is the photo itself, whose name is kept."""
        presence = self._about_photos.presence() if self._training else self._about_photos.presence(_TESTED_CONCEPTS, max_present=None)
        for number, photo in enumerate(track(self._photos, description=f"photos, view {view + 1}")):
            frames = self._writer.photo(photo.path, photo.path.stem) if view == 0 else self._writer.view(photo.path, f"{photo.path.stem}-{view}")
            if view == 0:
                names += frames
            yield QuestionClip(tuple(frames), tuple(self._about_photo(number, presence.get(number, []))))

    def _about_photo(self, number: int, presence: Iterable[Exchange]) -> Iterator[Exchange]:
        yield self._about_photos.describe(number)
        yield from presence
        yield from self._about_photos.facts(number)
        share = 0.12 if self._training else 0.5
        yield from self._about_photos.unknown(number, share)
        yield from self._about_photos.cannot_count(number) if self._training else self._about_photos.counting(number)
        if colour := picture_colour(read_pixels(self._photos[number].path, self._size)):
            yield Exchange("main colour", self._wordings.ask("main colour"), (sentence(colour),))

    def _object_clips(self, view: int, names: list[str]) -> Iterator[QuestionClip]:
        for number, photo in enumerate(track(self._objects, description=f"objects, view {view + 1}")):
            name = f"{photo.path.parent.name}-{photo.path.stem}"
            frames = self._writer.photo(photo.path, name) if view == 0 else self._writer.view(photo.path, f"{name}-{view}")
            if view == 0:
                names += frames
            about = self._about_objects
            more = about.described(number) if self._training else []
            yield QuestionClip(tuple(frames), (about.naming(number), *about.presence(number), *more, *about.unknown(number)))

    def _made(self, make: Any, count: int, description: str) -> Iterator[QuestionClip]:
        for number in track(range(min(count, 4 * len(self._photos))), description=description):
            made = make(number)
            yield from made


def _of_split(photos: Sequence[LabelledImage], split: str) -> list[LabelledImage]:
    """The photos of a split, without near copies of photos that a later split keeps."""
    later = [photo.path for photo in photos if SPLITS.index(photo.split) > SPLITS.index(split)]
    own = [photo for photo in photos if photo.split == split]
    copies = {path for path, _ in near_copies([photo.path for photo in own], later)}
    return [photo for photo in own if photo.path not in copies]


def write_question_file(questions: QuestionFile, folder: Path) -> int:
    """Write questions.jsonl with its frames; return the number of questions."""
    lines = [json.dumps(line, ensure_ascii=False) for line in questions.lines()]
    with atomic_file(folder / "questions.jsonl") as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return len(lines)


def main(arguments: list[str] | None = None) -> int:
    """Write questions.jsonl and its frames; return 0, or 1 after an error."""
    description = "Write questions about photos and clips for 'redvillm train' and 'redvillm eval'."
    parser = argparse.ArgumentParser(prog="python -m redvillm.training.question_files", description=description)
    parser.add_argument("--data", type=Path, required=True, metavar="DATA", help="folder of flickr8k and caltech101, see docs/training.md")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where questions.jsonl and its frames go")
    parser.add_argument("--split", choices=SPLITS, default="test", help="part of the photos (default: %(default)s)")
    help_text = "ask in the wordings that training leaves out"
    parser.add_argument("--kept-back-wordings", action="store_true", help=help_text)
    parser.add_argument("--seed", type=integer(0, 1 << 31), default=0, metavar="N", help="of the choices (default: %(default)s)")
    parser.add_argument("--image-size", type=integer(16, 4096), default=224, metavar="PIXELS", help="of the frames, square (default: %(default)s)")
    given = parser.parse_args(arguments)

    def write() -> int:
        questions = QuestionFile(
            given.data, given.out, split=given.split, image_size=given.image_size, seed=given.seed, kept_back=given.kept_back_wordings
        )
        print(f"{write_question_file(questions, given.out)} questions written to {given.out / 'questions.jsonl'}")
        return 0

    return run_program(write)


if __name__ == "__main__":
    sys.exit(main())
