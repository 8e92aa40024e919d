"""Pictures of a question file: photos and short clips made from them, written as JPEG frames beside the file.

Knows pixels and paths; does not know questions. A clip is a function of its photos, its name and a seed.
"""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from redvillm.errors import StorageError
from redvillm.files import atomic_file, storage_errors
from redvillm.training.views import (
    Sprite,
    appearing_clip,
    dark_clip,
    other_view,
    pan_views,
    placed_object,
    read_pixels,
    sprite_clip,
    still_clip,
    zoom_views,
)

Pixels = NDArray[np.uint8]
NUM_CLIP_FRAMES = 8
_QUALITY = 95


class ClipWriter:
    """Writes frames into `folder` and returns their names; squashed to `size` pixels as the runtime squashes them."""

    def __init__(self, folder: Path, size: int, seed: int) -> None:
        self._folder, self._size, self._seed = folder, size, seed

    def photo(self, path: Path, name: str) -> list[str]:
        """Write one photo as a clip of one frame."""
        return self.write(name, self._read(path)[None])

    def view(self, path: Path, name: str) -> list[str]:
        """Write another view of a photo as a clip of one frame."""
        return self.write(name, other_view(self._read(path), self._generator(name))[None])

    def pan(self, path: Path, name: str) -> list[str]:
        """Write a pan over a photo: the camera moves, the scene stays."""
        return self.write(name, pan_views(self._read(path), NUM_CLIP_FRAMES, self._generator(name)))

    def zoom(self, path: Path, name: str) -> list[str]:
        """Write a zoom into a photo."""
        return self.write(name, zoom_views(self._read(path), NUM_CLIP_FRAMES, self._generator(name)))

    def still(self, path: Path, name: str) -> list[str]:
        """Write a photo as a camera at rest would see it."""
        return self.write(name, still_clip(self._read(path), NUM_CLIP_FRAMES, self._generator(name)))

    def dark(self, name: str) -> list[str]:
        """Write a dark clip."""
        return self.write(name, dark_clip(self._size, NUM_CLIP_FRAMES // 2, self._generator(name)))

    def sprite(self, path: Path, other: Path, direction: str, name: str) -> list[str]:
        """Write a patch of `other` that moves over a photo, or stays for an empty direction."""
        return self.write(name, sprite_clip(self._read(path), self._read(other), Sprite(direction, NUM_CLIP_FRAMES), self._generator(name)))

    def placed(self, path: Path, other: Path, share: float, name: str) -> list[str]:
        """Write a photo with a small picture of an object on it."""
        return self.write(name, placed_object(self._read(path), self._read(other), share, self._generator(name))[None])

    def appearing(self, path: Path, other: Path, name: str) -> list[str]:
        """Write a patch of `other` that appears on a photo."""
        return self.write(name, appearing_clip(self._read(path), self._read(other), NUM_CLIP_FRAMES, self._generator(name)))

    def _read(self, path: Path) -> Pixels:
        return read_pixels(path, self._size)

    def _generator(self, name: str) -> np.random.Generator:
        return np.random.default_rng([self._seed, *name.encode()])

    def write(self, name: str, frames: Pixels) -> list[str]:
        """Write frames uint8 [T, size, size, 3] as they are."""
        names = [f"frames/{name}-{number:02d}.jpg" if len(frames) > 1 else f"frames/{name}.jpg" for number in range(len(frames))]
        for frame_name, frame in zip(names, frames, strict=True):
            encoded, data = cv2.imencode(".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
            if not encoded:
                raise StorageError(f"{frame_name} could not be coded as JPEG")
            path = self._folder / frame_name
            with storage_errors(path), atomic_file(path) as temporary:
                temporary.write_bytes(data.tobytes())
        return names
