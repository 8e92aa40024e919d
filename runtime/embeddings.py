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

_ZERO_POINT = 128


class EmbeddingTable:
    """Embeddings of tokens: `(code - 128) * scale`, a scale per block of columns."""

    def __init__(self, folder: Path, dimensions: Dimensions) -> None:
        """Map the files of a bundle.

        Raises:
            BundleFileError: a file that is missing, unreadable or of another shape than the manifest says.
        """
        size, width = dimensions.vocabulary_size, dimensions.llm_width
        self._codes = _map_array(folder / Files.EMBEDDING_CODES, np.uint8)
        self._scales = _map_array(folder / Files.EMBEDDING_SCALES, np.float32)
        num_blocks = self._scales.shape[1]
        if self._codes.shape != (size, width) or self._scales.shape[0] != size or not num_blocks or width % num_blocks:
            raise BundleFileError(
                f"the embeddings in {folder} have codes {list(self._codes.shape)} and scales {list(self._scales.shape)}, "
                f"the manifest says {size} tokens of width {width}; export the bundle again"
            )

    def lookup(self, token_ids: Sequence[int]) -> npt.NDArray[np.float32]:
        """Return the embeddings of `token_ids`, float32 [S, H].

        Raises:
            BundleFileError: a token without an embedding.
        """
        ids = np.asarray(token_ids, dtype=np.int64)
        if ids.size and not 0 <= ids.min() <= ids.max() < len(self._codes):
            raise BundleFileError(f"the tokenizer gives tokens outside the {len(self._codes)} of the embeddings; export the bundle again")
        scales, width = self._scales[ids], self._codes.shape[1]
        codes = self._codes[ids].reshape(*scales.shape, width // scales.shape[1])
        values: npt.NDArray[np.float32] = (codes.astype(np.float32) - _ZERO_POINT) * scales[..., None]
        return values.reshape(len(ids), width)


def _map_array(path: Path, dtype: type[np.generic]) -> npt.NDArray[Any]:
    try:
        array: npt.NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise BundleFileError(f"{path} cannot be read ({error}); export the bundle again") from error
    if array.dtype != dtype or array.ndim != 2:
        raise BundleFileError(f"{path} holds {array.dtype} of {array.ndim} dimensions, {np.dtype(dtype)} of 2 is wanted; export the bundle again")
    return array
