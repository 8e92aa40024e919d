"""Patch features of all training clips, computed once and kept on disk.

A feature store is `index.json` (one record a clip) and `features.npy` (float16 [frames, N, D], memory-mapped). Filling it can be interrupted and
goes on where it stopped. Knows the vision encoder as a function of pixels; does not know captions or questions.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from redvillm.errors import OptionsError
from redvillm.files import atomic_file

Encoder = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


@dataclass(frozen=True)
class ClipRecord:
    """One clip of the store: `kind` is photo, object or sprite; `source` names its image; `label` is a class or a direction."""

    kind: str
    source: str
    split: str
    label: str
    num_frames: int


@dataclass(frozen=True)
class PlannedClip:
    """A clip to encode: its record, and how to make its pixels uint8 [num_frames, size, size, 3]."""

    record: ClipRecord
    make: Callable[[], NDArray[np.uint8]]


class FeatureStore:
    """Records with their features: `store[i]` is X float16 [T, N, D] of clip i."""

    def __init__(self, folder: Path) -> None:
        try:
            records = json.loads((folder / "index.json").read_text(encoding="utf-8"))
            self._features = np.load(folder / "features.npy", mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise OptionsError(f"{folder} holds no features ({error}); run the training from the start") from error
        self.records = tuple(ClipRecord(**record) for record in records)
        self._ends = np.cumsum([record.num_frames for record in self.records])

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> NDArray[np.float16]:
        end = int(self._ends[index])
        return np.asarray(self._features[end - self.records[index].num_frames : end])

    def select(self, split: str, *kinds: str) -> list[int]:
        """Return the indices of the clips of a split and of some kinds."""
        return [index for index, record in enumerate(self.records) if record.split == split and record.kind in kinds]


def fill_store(folder: Path, plan: Sequence[PlannedClip], encode: Encoder, feature_shape: tuple[int, int]) -> FeatureStore:
    """Encode the clips that are not encoded yet and return the whole store."""
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / "index.json").exists():
        return FeatureStore(folder)
    num_frames = sum(clip.record.num_frames for clip in plan)
    part, mark = folder / "features.part.npy", folder / "num_done.txt"
    resuming = part.exists() and mark.exists()
    num_done = int(mark.read_text()) if resuming else 0
    shape = (num_frames, *feature_shape)
    features = np.lib.format.open_memmap(part, mode="r+" if resuming else "w+", dtype=np.float16, shape=None if resuming else shape)
    if features.shape != shape:
        raise OptionsError(f"{part} was begun for other data ({features.shape}, {shape} is wanted); remove {folder} and run again")
    for position, num_clips, values in _encoded(plan, encode, num_done):
        features[position : position + len(values)] = values
        if num_clips % 256 < 1:
            features.flush()
            mark.write_text(str(num_clips))
    features.flush()
    part.rename(folder / "features.npy")
    with atomic_file(folder / "index.json") as temporary:
        temporary.write_text(json.dumps([asdict(clip.record) for clip in plan]), encoding="utf-8")
    mark.unlink(missing_ok=True)
    return FeatureStore(folder)


def _encoded(plan: Sequence[PlannedClip], encode: Encoder, num_done: int) -> Iterator[tuple[int, int, NDArray[np.float32]]]:
    position = sum(clip.record.num_frames for clip in plan[:num_done])
    for index, clip in enumerate(track(plan[num_done:], description="encoding clips"), start=num_done + 1):
        yield position, index, encode(clip.make())
        position += clip.record.num_frames
