"""A decoder in a GGUF file, with its quantized values as they are and what an adapter tunes in it.

Knows the file and the tuning; does not know graphs.
"""

import itertools
from functools import cached_property
from pathlib import Path

from redvillm.errors import ExportError
from redvillm.export.decoder_sizes import DecoderSizes
from redvillm.export.decoder_source import FloatArray, plain_rotary_tables
from redvillm.export.estimate import ModelSize
from redvillm.export.gguf import EMBEDDING, FINAL_NORM, HEAD, ROTATED_PARTS, GgufFile, layer_tensor, rotate_half_order
from redvillm.export.layer_parts import PARTS
from redvillm.export.quantization import BlockWeights, check_quantization, read_block_weights
from redvillm.export.tuning import NO_TUNING, LanguageTuning


class GgufSource:
    """A redvillm.export.decoder_source.DecoderSource.

    Raises:
        ExportError: the file is not a GGUF of the Llama architecture; later, a tensor of a type that is not taken, or a tuning for another model.
    """

    def __init__(self, path: Path, tuning: LanguageTuning = NO_TUNING) -> None:
        self._file, self._tuning = GgufFile(path), tuning

    @property
    def origin(self) -> str:
        """The path."""
        return str(self._file.path)

    @cached_property
    def sizes(self) -> DecoderSizes:
        """Its sizes."""
        return self._file.sizes

    @property
    def size(self) -> ModelSize:
        """Numbers of weights; an export maps the file and dequantizes it to float32 as a reference."""
        tensors = self._file.tensor_sizes()
        num_weights, num_bytes = (sum(counts) for counts in zip(*tensors.values(), strict=True))
        tables = sum(tensors[name][0] for name in (EMBEDDING, HEAD) if name in tensors)
        return ModelSize(vision=0, matrices=num_weights - tables, tables=tables, stored_bytes=num_bytes + 4 * num_weights, quantized_bytes=num_bytes)

    def check_types(self) -> None:
        """Check how all matrices are stored, without reading them.

        Raises:
            ExportError: one is missing, or of a type that is not taken.
        """
        self._check_table()
        for layer, part in itertools.product(range(self.sizes.num_layers), PARTS):
            if not part.endswith("norm"):
                check_quantization(self._file, layer_tensor(layer, part))
        if HEAD in self._file:
            check_quantization(self._file, HEAD)

    def matrix(self, layer: int, part: str) -> BlockWeights:
        """A matrix, tuned."""
        name = layer_tensor(layer, part)
        weights = read_block_weights(self._file, name)
        if part in ROTATED_PARTS:
            weights = weights.rows(rotate_half_order(weights.num_outputs, self.sizes.head_width))
        return self._tuning.weights(name, weights)

    def bias(self, layer: int, part: str) -> FloatArray | None:
        """A bias, where the file has one."""
        name = layer_tensor(layer, part).replace("weight", "bias")
        if name not in self._file:
            return None
        values = self._file.dequantize(name)
        return values[rotate_half_order(len(values), self.sizes.head_width)] if part in ROTATED_PARTS else values

    def norm(self, layer: int, part: str) -> FloatArray:
        """A norm, tuned."""
        return self._norm(layer_tensor(layer, part))

    def final_norm(self) -> FloatArray:
        """The last norm, tuned."""
        return self._norm(FINAL_NORM)

    def embedding(self) -> BlockWeights:
        """The table.

        Raises:
            ExportError: it is not stored as Q8_0.
        """
        self._check_table()
        return read_block_weights(self._file, EMBEDDING)

    def head(self) -> BlockWeights | None:
        """The head, if it is not tied to the table."""
        return read_block_weights(self._file, HEAD) if HEAD in self._file else None

    def rotary_tables(self, num_positions: int) -> tuple[FloatArray, FloatArray]:
        """Plain ones: a file with others is refused."""
        return plain_rotary_tables(self.sizes, num_positions)

    def _check_table(self) -> None:
        if (stored := self._file.quantization(EMBEDDING)) != "Q8_0":
            raise ExportError(f"{self.origin}: {EMBEDDING} is stored as {stored}, Q8_0 is wanted; choose such a file")

    def _norm(self, name: str) -> FloatArray:
        return self._tuning.norm(name, self._file.dequantize(name))
