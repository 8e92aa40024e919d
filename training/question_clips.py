"""Pictures of a question file: photos and short clips made from them, written as JPEG frames beside the file.

Knows pixels and paths; does not know questions. A clip is a function of its photos and a seed.
"""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from redvillm.errors import StorageError
from redvillm.files import atomic_file, storage_errors
from redvillm.training.views import Sprite, pan_views, read_pixels, sprite_clip

Pixels = NDArray[np.uint8]
_FRAMES_PER_SCENE = 4
_PAN_VIEWS = 8
_QUALITY = 95


class ClipWriter:
    """Writes frames into `folder` and returns their names; squashed to `size` pixels as the runtime squashes them."""

    def __init__(self, folder: Path, size: int, seed: int) -> None:
        self._folder, self._size, self._seed = folder, size, seed

    def photo(self, path: Path, name: str) -> list[str]:
        """Write one photo as a clip of one frame."""
        return self._write(name, read_pixels(path, self._size)[None])

    def pan(self, path: Path, name: str) -> list[str]:
        """Write a pan over a photo: the camera moves, the scene stays."""
        return self._write(name, pan_views(read_pixels(path, self._size), _PAN_VIEWS, self._generator(name))[1:])

    def scenes(self, paths: tuple[Path, Path], name: str) -> list[str]:
        """Write two still scenes with a cut between them."""
        return self._write(name, np.concatenate([np.repeat(read_pixels(path, self._size)[None], _FRAMES_PER_SCENE, axis=0) for path in paths]))

    def sprite(self, path: Path, other: Path, direction: str, name: str) -> list[str]:
        """Write a patch of `other` that moves over a photo, or stays for an empty direction."""
        photo, patch = read_pixels(path, self._size), read_pixels(other, self._size)
        return self._write(name, sprite_clip(photo, patch, Sprite(direction), self._generator(name)))

    def _generator(self, name: str) -> np.random.Generator:
        return np.random.default_rng([self._seed, *name.encode()])

    def _write(self, name: str, frames: Pixels) -> list[str]:
        names = []
        for number, frame in enumerate(frames):
            names.append(f"frames/{name}-{number:02d}.jpg" if len(frames) > 1 else f"frames/{name}.jpg")
            encoded, data = cv2.imencode(".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
            if not encoded:
                raise StorageError(f"{names[-1]} could not be coded as JPEG")
            path = self._folder / names[-1]
            with storage_errors(path), atomic_file(path) as temporary:
                temporary.write_bytes(data.tobytes())
        return names
