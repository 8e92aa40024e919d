"""Frames made from still photos: other views of one photo, pans, zooms, and a patch of another photo that moves over it or comes and goes.

Knows pixels only. Every clip is a function of its photos and a seed.
"""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from redvillm.errors import OptionsError

Pixels = NDArray[np.uint8]
_MIN_PAN = 0.04  # of the width: a pan that moves less looks still
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
    return squash(np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), dtype=np.uint8), size)


def squash(frame: Pixels, size: int) -> Pixels:
    """Return a frame [height, width, 3] as [size, size, 3], pixel for pixel as the runtime does: large frames are halved first."""
    height, width = frame.shape[:2]
    while min(height, width) >= 2 * size and height % 2 == width % 2 == 0:
        height, width = height // 2, width // 2
        frame = np.asarray(cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)
    shrinking = min(height, width) >= size
    return np.asarray(cv2.resize(frame, (size, size), interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR), dtype=np.uint8)


def pan_views(photo: Pixels, num_views: int, generator: np.random.Generator) -> Pixels:
    """Return [num_views, size, size, 3]: crops along a short path, perhaps of the mirrored photo."""
    size = photo.shape[0]
    side = int(size * generator.uniform(0.65, 0.92))
    while True:
        start, end = generator.uniform(0, size - side, (2, 2))
        if np.abs(end - start).max() >= size * _MIN_PAN:
            break
    if generator.random() < 0.5:
        photo = photo[:, ::-1]
    views = []
    for position in np.linspace(start, end, num_views):
        x, y = position.astype(int)
        views.append(np.asarray(cv2.resize(photo[y : y + side, x : x + side], (size, size), interpolation=cv2.INTER_LINEAR), dtype=np.uint8))
    return np.ascontiguousarray(np.stack(views))


def other_view(photo: Pixels, generator: np.random.Generator) -> Pixels:
    """Return [size, size, 3]: a crop of the photo, perhaps mirrored, a little lighter or darker."""
    size = photo.shape[0]
    side = int(size * generator.uniform(0.72, 1.0))
    x, y = generator.integers(0, size - side + 1, 2)
    view = photo[y : y + side, x : x + side]
    if generator.random() < 0.5:
        view = view[:, ::-1]
    resized = cv2.resize(np.ascontiguousarray(view), (size, size), interpolation=cv2.INTER_LINEAR)
    return _pixels(resized.astype(np.float32) * generator.uniform(0.85, 1.15))


def zoom_views(photo: Pixels, num_views: int, generator: np.random.Generator) -> Pixels:
    """Return [num_views, size, size, 3]: crops that shrink around a point, so that the camera comes closer."""
    size = photo.shape[0]
    centre = generator.uniform(0.35, 0.65, 2)
    views = []
    for share in np.linspace(1.0, generator.uniform(0.45, 0.7), num_views):
        side = int(size * share)
        x, y = (centre * (size - side)).astype(int)
        views.append(np.asarray(cv2.resize(photo[y : y + side, x : x + side], (size, size), interpolation=cv2.INTER_LINEAR), dtype=np.uint8))
    return np.stack(views)


def still_clip(photo: Pixels, num_frames: int, generator: np.random.Generator) -> Pixels:
    """Return [num_frames, size, size, 3]: the photo with the noise and the flicker of a camera."""
    return _noisy(np.repeat(photo[None].astype(np.float32), num_frames, axis=0), generator)


def dark_clip(size: int, num_frames: int, generator: np.random.Generator) -> Pixels:
    """Return [num_frames, size, size, 3]: next to nothing, as of a covered camera."""
    return _noisy(np.full((num_frames, size, size, 3), generator.uniform(0, 12), dtype=np.float32), generator)


def appearing_clip(photo: Pixels, other: Pixels, num_frames: int, generator: np.random.Generator) -> Pixels:
    """Return [num_frames, size, size, 3]: from some frame on, a patch of `other` lies on the photo."""
    size = photo.shape[0]
    patch, alpha = _patch(other, int(size * generator.uniform(0.3, 0.6)), generator)
    x, y = generator.integers(0, size - len(patch) + 1, 2)
    frames = np.repeat(photo[None].astype(np.float32), num_frames, axis=0)
    _lay(frames[int(generator.integers(2, num_frames - 1)) :], patch, alpha, x, y)
    return _noisy(frames, generator)


def placed_object(photo: Pixels, other: Pixels, share: float, generator: np.random.Generator) -> Pixels:
    """Return [size, size, 3]: the whole of `other`, shrunk to `share` of the width, somewhere on the photo."""
    size = photo.shape[0]
    side = max(1, round(size * share))
    x, y = generator.integers(0, size - side + 1, 2)
    picture = photo.copy()
    picture[y : y + side, x : x + side] = cv2.resize(other, (side, side), interpolation=cv2.INTER_AREA)
    return picture


def sprite_clip(photo: Pixels, other: Pixels, sprite: Sprite, generator: np.random.Generator) -> Pixels:
    """Return [num_frames, size, size, 3]: an oval patch of `other` moves straight over `photo`, with a little noise from frame to frame.

    Some patches come in over an edge or go out over one, as things do in front of a real camera.
    """
    size = photo.shape[0]
    patch, alpha = _patch(other, int(size * generator.uniform(0.15, 0.45)), generator)
    side = len(patch)
    travel = size * generator.uniform(0.25, 0.8)
    step = np.array(DIRECTIONS.get(sprite.direction, (0, 0)), dtype=np.float64)
    margin = side * 0.8 if sprite.direction and generator.random() < 0.4 else 0.0
    centre = generator.uniform(0, size - side, 2)
    start = np.where(step == 0, centre, np.clip(centre - step * travel / 2, -margin, size - side + margin))
    end = np.where(step == 0, centre, np.clip(start + step * travel, -margin, size - side + margin))
    drift = generator.uniform(-0.15, 0.15) * np.abs(end - start).sum() * (step[::-1] != 0)
    frames = np.repeat(photo[None].astype(np.float32), sprite.num_frames, axis=0)
    for number, position in enumerate(np.linspace(start, end + drift, sprite.num_frames)):
        x, y = position.astype(int)
        _lay(frames[number : number + 1], patch, alpha, x, y)
    return _noisy(frames, generator)


def _patch(other: Pixels, side: int, generator: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """An oval part of a photo [side, side, 3], and how opaque it is [side, side, 1]; of some photos the whole, shrunk."""
    if generator.random() < 0.5:
        x, y = generator.integers(0, other.shape[0] - side + 1, 2)
        patch = other[y : y + side, x : x + side]
    else:
        patch = np.asarray(cv2.resize(other, (side, side), interpolation=cv2.INTER_AREA), dtype=np.uint8)
    axis = (np.arange(side) + 0.5) / side * 2 - 1
    alpha = np.clip((1 - axis[:, None] ** 2 - axis[None, :] ** 2) * 4, 0, 1)[..., None]
    return patch.astype(np.float32), alpha.astype(np.float32)


def _lay(frames: NDArray[np.float32], patch: NDArray[np.float32], alpha: NDArray[np.float32], x: int, y: int) -> None:
    """Blend a patch into all frames with its corner at (x, y), which may lie outside."""
    size, side = frames.shape[1], len(patch)
    left, top, right, bottom = max(x, 0), max(y, 0), min(x + side, size), min(y + side, size)
    if left >= right or top >= bottom:
        return
    inner = (slice(top - y, bottom - y), slice(left - x, right - x))
    area = frames[:, top:bottom, left:right]
    area += alpha[inner] * (patch[inner] - area)


def _noisy(frames: NDArray[np.float32], generator: np.random.Generator) -> Pixels:
    flicker = generator.normal(1, generator.uniform(0, 0.01), (len(frames), 1, 1, 1)).astype(np.float32)
    frames *= flicker
    frames += generator.normal(0, generator.uniform(0, 4), frames.shape).astype(np.float32)
    return _pixels(frames)


def _pixels(values: NDArray[np.float32]) -> Pixels:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
