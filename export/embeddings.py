"""The token embedding table as two .npy files, which the runtime maps and a tied head reads in place.

Knows the files; does not know the decoder.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from redvillm.export.quantization import BlockWeights, TiledWeights, tile
from redvillm.files import atomic_file
from redvillm.manifest import Files


@dataclass(frozen=True)
class StoredArray:
    """An array, and where its bytes lie in a file of the bundle."""

    values: npt.NDArray[Any]
    file_name: str
    offset_bytes: int


@dataclass(frozen=True)
class EmbeddingTable:
    """The table in tiles (see quantization.py), and where codes and scales are stored."""

    weights: TiledWeights
    codes: StoredArray
    scales: StoredArray


def write_embeddings(weights: BlockWeights, folder: Path) -> EmbeddingTable:
    """Write an embedding table in 8 bits into `folder`.

    Raises:
        StorageError: the disk is full or not writable.
    """
    tiled = tile(weights)
    codes = _write_array(folder, Files.EMBEDDING_CODES, tiled.codes)
    return EmbeddingTable(tiled, codes, _write_array(folder, Files.EMBEDDING_SCALES, tiled.scales))


def _write_array(folder: Path, name: str, values: npt.NDArray[Any]) -> StoredArray:
    with atomic_file(folder / name) as temporary:
        with temporary.open("wb") as stream:
            np.lib.format.write_array(stream, values, version=(1, 0), allow_pickle=False)
        return StoredArray(values, name, temporary.stat().st_size - values.nbytes)
