"""The token embedding table of a bundle, mapped from disk: a lookup reads and dequantizes only its rows.

Knows the two files; does not know the tokenizer or the decoder.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from redvillm.errors import BundleFileError
from redvillm.manifest import Dimensions, Files

_MIDDLE = 128
_TILE_ROWS = 16


class EmbeddingTable:
    """Embeddings of tokens: `(code - 128) * scale`, a scale per token and block of columns; sixteen tokens lie interleaved (see Files)."""

    def __init__(self, folder: Path, dimensions: Dimensions) -> None:
        """Map the files of a bundle.

        Raises:
            BundleFileError: a file that is missing, unreadable or of another shape than the manifest says.
        """
        self._size, self._width = dimensions.vocabulary_size, dimensions.llm_width
        self._codes = _map_array(folder / Files.EMBEDDING_CODES, np.uint8, 5)
        self._scales = _map_array(folder / Files.EMBEDDING_SCALES, np.float16, 3)
        tiles, num_blocks, _ = self._scales.shape
        fit = self._scales.shape[2] == _TILE_ROWS and tiles == -(-self._size // _TILE_ROWS) and self._codes.shape[::3] == (tiles, _TILE_ROWS)
        if not fit or self._codes.shape[1] != num_blocks or num_blocks * self._codes.shape[2] * self._codes.shape[4] != self._width:
            raise BundleFileError(
                f"the embeddings in {folder} have codes {list(self._codes.shape)} and scales {list(self._scales.shape)}, "
                f"the manifest says {self._size} tokens of width {self._width}; export the bundle again"
            )

    def lookup(self, token_ids: Sequence[int]) -> npt.NDArray[np.float32]:
        """Return the embeddings of `token_ids`, float32 [S, H].

        Raises:
            BundleFileError: a token without an embedding.
        """
        ids = np.asarray(token_ids, dtype=np.int64)
        if ids.size and not 0 <= ids.min() <= ids.max() < self._size:
            raise BundleFileError(f"the tokenizer gives tokens outside the {self._size} of the embeddings; export the bundle again")
        tiles, rows = np.divmod(ids, _TILE_ROWS)
        codes = self._codes[tiles, :, :, rows].astype(np.float32)
        values: npt.NDArray[np.float32] = (codes - _MIDDLE) * self._scales[tiles, :, rows, None, None]
        return values.reshape(len(ids), self._width)


def _map_array(path: Path, dtype: type[np.generic], rank: int) -> npt.NDArray[Any]:
    try:
        array: npt.NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise BundleFileError(f"{path} cannot be read ({error}); export the bundle again") from error
    if array.dtype != dtype or array.ndim != rank:
        raise BundleFileError(
            f"{path} holds {array.dtype} of {array.ndim} dimensions, {np.dtype(dtype)} of {rank} is wanted; export the bundle again"
        )
    return array
