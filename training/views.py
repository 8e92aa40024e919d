"""Frames made from still photos: pans over one photo, and a patch of another photo that moves over it.

Knows pixels only. Every clip is a function of its photos and a seed.
"""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from redvillm.errors import OptionsError

Pixels = NDArray[np.uint8]
DIRECTIONS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}


@dataclass(frozen=True)
class Sprite:
    """How a patch moves: `direction` is one of DIRECTIONS or empty for a patch that stays."""

    direction: str
    num_frames: int = 8


def read_pixels(path: Path, size: int) -> Pixels:
    """Return a photo as RGB [size, size, 3], squashed as the runtime squashes a frame."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise OptionsError(f"{path} is not a readable image")
    rgb = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    shrinking = image.shape[0] >= size and image.shape[1] >= size
    return np.asarray(cv2.resize(rgb, (size, size), interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR), dtype=np.uint8)


def pan_views(photo: Pixels, num_views: int, generator: np.random.Generator) -> Pixels:
    """Return [1 + num_views, size, size, 3]: the whole photo, then crops along a short path, perhaps mirrored."""
    size = photo.shape[0]
    side = int(size * generator.uniform(0.65, 0.92))
    start, end = generator.uniform(0, size - side, (2, 2))
    if generator.random() < 0.5:
        photo = photo[:, ::-1]
    views = [photo]
    for position in np.linspace(start, end, num_views):
        x, y = position.astype(int)
        views.append(np.asarray(cv2.resize(photo[y : y + side, x : x + side], (size, size), interpolation=cv2.INTER_LINEAR), dtype=np.uint8))
    return np.ascontiguousarray(np.stack(views))


def sprite_clip(photo: Pixels, other: Pixels, sprite: Sprite, generator: np.random.Generator) -> Pixels:
    """Return [num_frames, size, size, 3]: an oval patch of `other` moves straight over `photo`, with a little noise from frame to frame."""
    size = photo.shape[0]
    side = int(size * generator.uniform(0.2, 0.45))
    corner = generator.integers(0, size - side, 2)
    patch = other[corner[1] : corner[1] + side, corner[0] : corner[0] + side].astype(np.float32)
    axis = (np.arange(side) + 0.5) / side * 2 - 1
    alpha = np.clip((1 - axis[:, None] ** 2 - axis[None, :] ** 2) * 4, 0, 1)[..., None]
    travel = size * generator.uniform(0.25, 0.55)
    step = np.array(DIRECTIONS.get(sprite.direction, (0, 0)), dtype=np.float64)
    centre = generator.uniform(0, size - side, 2)
    start = np.clip(centre - step * travel / 2, 0, size - side)
    end = np.clip(start + step * travel, 0, size - side)
    frames = np.repeat(photo[None].astype(np.float32), sprite.num_frames, axis=0)
    for frame, position in zip(frames, np.linspace(start, end, sprite.num_frames), strict=True):
        x, y = position.astype(int)
        area = frame[y : y + side, x : x + side]
        area += alpha * (patch - area)
    frames += generator.normal(0, generator.uniform(0, 4), frames.shape).astype(np.float32)
    return np.clip(frames, 0, 255).astype(np.uint8)
