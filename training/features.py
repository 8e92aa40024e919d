"""Patch features of all images and videos of a training run, computed once and kept on disk.

A feature store is `index.json` (path, size and number of frames of each medium) and `features.bin` (float16 [frames, N, D], memory-mapped). Filling
it can be interrupted and goes on where it stopped. Knows the vision encoder as a function of pixels; does not know questions.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress

from redvillm.errors import OptionsError
from redvillm.files import atomic_file, storage_errors

Encoder = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
Reader = Callable[["Medium"], NDArray[np.uint8]]
_SAVE_EVERY = 512
_BATCH = 16


@dataclass(frozen=True, order=True)
class Medium:
    """An image or a video file."""

    path: Path
    is_video: bool


class FeatureStore:
    """`store[medium]` is X float16 [T, N, D]; T = 1 for an image."""

    def __init__(self, folder: Path, records: Sequence["FeatureRecord"], feature_shape: tuple[int, int]) -> None:
        """Open the features that the records list, in their order."""
        ends = np.cumsum([record.num_frames for record in records])
        shape = (int(ends[-1]) if len(ends) else 0, *feature_shape)
        self._features = np.memmap(folder / "features.bin", mode="r", dtype=np.float16, shape=shape)
        # of a medium that was encoded twice, because its file had changed, the last one counts
        self._places = {record.medium: slice(int(end) - record.num_frames, int(end)) for record, end in zip(records, ends, strict=True)}

    def __getitem__(self, medium: Medium) -> NDArray[np.float16]:
        return np.asarray(self._features[self._places[medium]])


@dataclass(frozen=True)
class FeatureRecord:
    """One medium of a store: its path and form, its size when it was read, and how many frames it gave."""

    path: str
    is_video: bool
    size_bytes: int
    num_frames: int

    @property
    def medium(self) -> Medium:
        """What was encoded."""
        return Medium(Path(self.path), self.is_video)


def fill_store(folder: Path, media: Sequence[Medium], read: Reader, encode: Encoder, feature_shape: tuple[int, int]) -> FeatureStore:
    """Encode the media that are not encoded yet, or whose file has changed, and return the store.

    Raises:
        OptionsError: a medium is not readable, or the folder holds something else.
        StorageError: the disk is full.
    """
    folder.mkdir(parents=True, exist_ok=True)
    index, values = folder / "index.json", folder / "features.bin"
    records = _read_records(index) if index.exists() else []
    known = {(record.medium, record.size_bytes) for record in records}
    sizes = {medium: _size_of(medium) for medium in media}
    missing = [medium for medium in media if (medium, sizes[medium]) not in known]
    num_frames = sum(record.num_frames for record in records)
    with storage_errors(values), values.open("ab") as stream, Progress() as bar:
        stream.truncate(num_frames * feature_shape[0] * feature_shape[1] * 2)
        task = bar.add_task("encoding images and videos", total=len(media), completed=len(media) - len(missing))
        for number, (medium, features) in enumerate(zip(missing, _encoded(missing, read, encode), strict=True), start=1):
            stream.write(features.astype(np.float16).tobytes())
            records.append(FeatureRecord(str(medium.path), medium.is_video, sizes[medium], len(features)))
            bar.advance(task)
            if number % _SAVE_EVERY == 0 or number == len(missing):
                stream.flush()
                with atomic_file(index) as temporary:
                    temporary.write_text(json.dumps([astuple(record) for record in records]), encoding="utf-8")
    return FeatureStore(folder, records, feature_shape)


def _encoded(media: Sequence[Medium], read: Reader, encode: Encoder) -> Iterator[NDArray[np.float32]]:
    """Yield the features of each medium; several are read ahead and encoded together."""

    def read_all(batch: Sequence[Medium]) -> list[NDArray[np.uint8]]:
        return [read(medium) for medium in batch]

    batches = [media[start : start + _BATCH] for start in range(0, len(media), _BATCH)]
    with ThreadPoolExecutor(max_workers=1) as pool:
        ahead = [pool.submit(read_all, batch) for batch in batches[:1]]
        for following in [*batches[1:], ()] if batches else ():
            pixels = ahead.pop().result()
            ahead.append(pool.submit(read_all, following))
            features = encode(np.concatenate(pixels))
            yield from np.split(features, np.cumsum([len(frames) for frames in pixels])[:-1])


def _size_of(medium: Medium) -> int:
    try:
        return medium.path.stat().st_size
    except OSError as error:
        raise OptionsError(f"{medium.path} cannot be read ({error}); paths in a question file are relative to it") from error


def _read_records(index: Path) -> list[FeatureRecord]:
    try:
        records = json.loads(index.read_text("utf-8"))
        return [FeatureRecord(str(path), bool(is_video), int(size), int(count)) for path, is_video, size, count in records]
    except (OSError, ValueError, TypeError) as error:
        raise OptionsError(f"{index} cannot be read ({error}); remove {index.parent} and run again") from error
