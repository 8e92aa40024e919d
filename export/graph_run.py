"""Running the graphs of a bundle as files, the way a runtime does. Knows ONNX Runtime; does not know what is compared."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from redvillm.errors import ExportError, ParityError
from redvillm.kernels.decoder_library import decoder_op_calls
from redvillm.manifest import Dimensions, Graphs, RotarySpec, Tensors
from redvillm.rotary import Positions, rotary_tables

FloatArray = NDArray[np.float32]
_ERRORS_ONLY = 3
_KINDS: tuple[Literal["key"], Literal["value"]] = ("key", "value")


def session_options(library: Path | None = None) -> onnxruntime.SessionOptions:
    """Return options of a session that tells errors only; `library` has kernels for a graph's own operators.

    Raises:
        ExportError: this onnxruntime does not take the library.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    if library is not None:
        try:
            options.register_custom_ops_library(str(library))
        except Exception as error:  # the library's errors have no common base
            raise ExportError(f"{library} cannot be registered with this onnxruntime ({error!s:.200}); install redvillm again") from error
    return options


def open_graph(graph: Path, *, library: Path | None = None) -> onnxruntime.InferenceSession:
    """Open a graph on the CPU; `library` has kernels for its own operators.

    Raises:
        ExportError: this onnxruntime does not take the library.
    """
    return onnxruntime.InferenceSession(graph, session_options(library), providers=["CPUExecutionProvider"])


def run_graph(graph: Path, feeds: dict[str, NDArray[Any]], *, library: Path | None = None) -> list[FloatArray]:
    """Run a graph once and return all of its outputs.

    Raises:
        ExportError: as `open_graph`.
    """
    results: list[FloatArray] = open_graph(graph, library=library).run(None, feeds)
    return results


class GraphDecoder:
    """decoder.onnx with its cache, which grows with every run."""

    def __init__(self, graph: Path, dimensions: Dimensions, rotary: RotarySpec, *, library: Path | None = None) -> None:
        self._session, self._library = open_graph(graph, library=library), library
        self._sizes, self._rotary, self._length = dimensions, rotary, 0
        self._places = [Tensors.past(layer, kind) for layer in range(dimensions.num_layers) for kind in _KINDS]
        self._presents = [Tensors.present(layer, kind) for layer in range(dimensions.num_layers) for kind in _KINDS]
        self._cache = [np.zeros((1, dimensions.num_kv_heads, 0, dimensions.head_width), dtype=np.float16) for _ in self._places]
        self._positions = np.zeros((0, 3), dtype=np.int64)

    def run(self, embeddings: FloatArray, rows: Sequence[int], positions: Positions | None = None) -> FloatArray:
        """Append embeddings [S, H] at `positions` (int64 [S, 3], where they have three parts); return the logits of some of them.

        Raises:
            ParityError: the library was not called.
        """
        feeds = self._feeds(embeddings, rows, positions)
        names = [Tensors.LOGITS, *self._presents]
        calls = 0 if self._library is None else decoder_op_calls()
        logits, *self._cache = self._session.run(names, feeds)
        if self._library is not None and decoder_op_calls() == calls:
            raise ParityError(
                f"{Graphs.DECODER} ran without a call of the kernels in {self._library}: its nodes are not those that the library registers"
            )
        self._length += len(embeddings)
        found: FloatArray = logits
        return found

    def values(self, embeddings: FloatArray, positions: Positions | None, names: Sequence[str]) -> list[FloatArray]:
        """Return other outputs for a sequence, and leave the cache as it is."""
        found: list[FloatArray] = self._session.run(list(names), self._feeds(embeddings, [len(embeddings) - 1], positions))
        return found

    def _feeds(self, embeddings: FloatArray, rows: Sequence[int], positions: Positions | None) -> dict[str, NDArray[Any]]:
        length = self._length + len(embeddings)
        feeds: dict[str, NDArray[Any]] = {
            Tensors.INPUT_EMBEDDINGS: embeddings[None],
            Tensors.LOGITS_INDICES: np.array(list(rows), dtype=np.int64),
            Tensors.LAST_POSITION: np.array([length - 1], dtype=np.int32),
            Tensors.SEQUENCE_LENGTH: np.array(length, dtype=np.int32),
        }
        if positions is not None:
            self._positions = np.concatenate([self._positions, positions])
            tables = rotary_tables(self._rotary, self._positions, self._sizes.head_width)
            feeds |= dict(zip((Tensors.ROTARY_COSINES, Tensors.ROTARY_SINES), tables, strict=True))
        for name, past in zip(self._places, self._cache, strict=True):
            feeds[name] = np.pad(past, ((0, 0), (0, 0), (0, len(embeddings)), (0, 0)))
        return feeds
