"""The decoder and its KV cache.

The cache is allocated once and bound as past and as present: a step writes its positions in place, rewinding sets a number. Its memory is where the
session runs (`key_value_cache`). Knows embeddings and logits; does not know tokens or text. One owner thread.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from redvillm.errors import ContextOverflowError, OptionsError
from redvillm.manifest import PLAIN_ROTARY, Dimensions, RotarySpec, Tensors
from redvillm.runtime.cuda_session import CUDA_PROVIDER
from redvillm.runtime.key_value_cache import KeyValueCache, make_cache
from redvillm.runtime.rotary_cache import RotaryCache
from redvillm.runtime.session import Session

FloatArray = npt.NDArray[np.float32]


class Decoder:
    """decoder.onnx with its cache."""

    def __init__(
        self,
        session: Session,
        dimensions: Dimensions,
        max_context_tokens: int,
        rotary: RotarySpec = PLAIN_ROTARY,
        cache: KeyValueCache | None = None,
    ) -> None:
        """Bind a cache of C = `max_context_tokens` positions, at most as many as the graph was exported for.

        `cache` None allocates one where the session runs.

        Raises:
            BackendError: there is too little memory on the GPU.
        """
        self.max_context_tokens = max_context_tokens
        self._session = session
        self._width = dimensions.llm_width
        self._vocabulary_size = dimensions.vocabulary_size
        self._length = 0
        # products of no rows are not what kernels for GPUs are tested with: one row is computed there, and thrown away
        self._rows_of_none = [0] if session.provider == CUDA_PROVIDER else []
        self._rotary = RotaryCache(rotary, max_context_tokens, dimensions.head_width) if rotary.sections else None
        self._binding = session.bind()
        self._cache = make_cache(session, dimensions, max_context_tokens) if cache is None else cache
        self._cache.bind(self._binding)

    @property
    def length(self) -> int:
        """Positions in the cache."""
        return self._length

    def rewind(self, length: int) -> None:
        """Forget everything after the first `length` positions.

        Raises:
            OptionsError: there are not that many.
        """
        if not 0 <= length <= self._length:
            raise OptionsError(f"the cache holds {self._length} positions and cannot be rewound to {length}; 0 to {self._length} are legal")
        self._length = length

    def copy_positions(self, other: "Decoder", length: int) -> None:
        """Take over the positions of `other`, of the same bundle and size, from where this cache ends up to `length`.

        Raises:
            OptionsError: `other` has not that many, or this cache has more.
        """
        if not self._length <= length <= other.length:
            raise OptionsError(f"positions up to {length} cannot be copied from a cache of {other.length} to one of {self._length}")
        self._cache.copy(other._cache, self._length, length)
        if self._rotary is not None and other._rotary is not None:
            self._rotary.copy(other._rotary, self._length, length)
            self._cache.bind_tables(self._binding, self._rotary.tables, self._length, length)
        self._length = length

    def forward(self, embeddings: FloatArray, logits_rows: Sequence[int], *, window_start: int | None = None) -> FloatArray:
        """Append positions and return the logits of some of them.

        Args:
            embeddings: float32 [S, H], S >= 1.
            logits_rows: K positions within S; empty when no logits are wanted.
            window_start: of visual tokens, where in the cache the tokens of their window begin; None for text.

        Returns:
            Logits, float32 [K, V].

        Raises:
            ContextOverflowError: they do not fit into the cache; it is left as it was.
            OptionsError: embeddings of another shape or type, or a row outside them.
        """
        self._check(embeddings, logits_rows)
        length = self._length + len(embeddings)
        rows = np.asarray(logits_rows if len(logits_rows) else self._rows_of_none, dtype=np.int64)
        logits = np.empty((len(rows), self._vocabulary_size), dtype=np.float32)
        feeds: dict[str, npt.NDArray[np.generic]] = {  # held until the run is over: the binding does not own them
            Tensors.INPUT_EMBEDDINGS: np.ascontiguousarray(embeddings[None]),
            Tensors.LOGITS_INDICES: rows,
            Tensors.LAST_POSITION: np.array([length - 1], dtype=np.int32),
            Tensors.SEQUENCE_LENGTH: np.array(length, dtype=np.int32),
        }
        if self._rotary is not None:
            self._cache.bind_tables(self._binding, self._rotary.extended(self._length, length, window_start), self._length, length)
        for name, value in feeds.items():
            self._binding.bind_cpu_input(name, value)
        self._binding.bind_output(Tensors.LOGITS, "cpu", 0, np.float32, logits.shape, logits.ctypes.data)
        self._session.run_bound(self._binding)
        self._length = length
        return logits[: len(logits_rows)]

    def _check(self, embeddings: FloatArray, logits_rows: Sequence[int]) -> None:
        if embeddings.dtype != np.float32 or embeddings.ndim != 2 or embeddings.shape[1] != self._width or not len(embeddings):
            raise OptionsError(f"embeddings are {embeddings.dtype} {list(embeddings.shape)}; float32 [1 or more, {self._width}] is wanted")
        if not all(0 <= row < len(embeddings) for row in logits_rows):
            raise OptionsError(f"logits are wanted of rows {list(logits_rows)!s:.60}; rows 0 to {len(embeddings) - 1} are legal")
        if self._length + len(embeddings) > self.max_context_tokens:
            raise ContextOverflowError(
                f"{self._length} tokens are in the context and {len(embeddings)} more do not fit: it holds {self.max_context_tokens}. "
                "Ask for less, or open the model with a longer context"
            )
