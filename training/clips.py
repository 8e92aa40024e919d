"""The clips of the default recipe: which photos, pans and moving patches are encoded.

Joins datasets and views into a plan for the feature store; does not know questions.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from redvillm.training.datasets import LabelledImage, read_caltech101, read_flickr8k
from redvillm.training.features import ClipRecord, PlannedClip
from redvillm.training.views import DIRECTIONS, Sprite, pan_views, read_pixels, sprite_clip

NUM_PAN_VIEWS = 3
NUM_SPRITE_FRAMES = 8
_NUM_SPRITE_CLIPS = {"train": 2000, "validation": 150, "test": 150}


def plan_clips(data: Path, image_size: int, seed: int) -> list[PlannedClip]:
    """Return all clips: a pan over each captioned photo, each object photo, and moving patches over captioned photos of the same split."""
    photos, objects = read_flickr8k(data / "flickr8k"), read_caltech101(data / "caltech101")
    plan = [_pan(photo, image_size, seed) for photo in photos]
    plan += [_still(photo, image_size) for photo in objects]
    for split, num_clips in _NUM_SPRITE_CLIPS.items():
        own = [photo for photo in photos if photo.split == split]
        plan += [_sprite(own, split, number, image_size, seed) for number in range(num_clips if len(own) > 1 else 0)]
    return plan


def _pan(photo: LabelledImage, image_size: int, seed: int) -> PlannedClip:
    def make() -> NDArray[np.uint8]:
        generator = np.random.default_rng([seed, *photo.path.name.encode()])
        return pan_views(read_pixels(photo.path, image_size), NUM_PAN_VIEWS, generator)

    return PlannedClip(ClipRecord("photo", photo.path.name, photo.split, "", 1 + NUM_PAN_VIEWS), make)


def _still(photo: LabelledImage, image_size: int) -> PlannedClip:
    def make() -> NDArray[np.uint8]:
        return read_pixels(photo.path, image_size)[None]

    return PlannedClip(ClipRecord("object", f"{photo.path.parent.name}/{photo.path.name}", photo.split, photo.class_name, 1), make)


def _sprite(photos: list[LabelledImage], split: str, number: int, image_size: int, seed: int) -> PlannedClip:
    generator = np.random.default_rng([seed, 1, number, *split.encode()])
    direction = str(generator.choice([*DIRECTIONS, ""]))
    first, second = generator.choice(len(photos), 2, replace=False)
    make = _sprite_maker(photos[first].path, photos[second].path, Sprite(direction, NUM_SPRITE_FRAMES), image_size, generator)
    return PlannedClip(ClipRecord("sprite", photos[first].path.name, split, direction, NUM_SPRITE_FRAMES), make)


def _sprite_maker(photo: Path, other: Path, sprite: Sprite, image_size: int, generator: np.random.Generator) -> Callable[[], NDArray[np.uint8]]:
    return lambda: sprite_clip(read_pixels(photo, image_size), read_pixels(other, image_size), sprite, generator)
