"""A tuned LLM: changes of block minimums, of row scales and of norms, which leave every 4-bit code as it is and cost nothing at run time.

A block's weights are `scale * code + minimum`. Tuning multiplies both by a factor of the output row and adds to the minimum:

    y = (1 + row_scale) * (W x) + minimum_shift @ s(x),    s(x) = sums of x over the blocks of 32 inputs

The second product is of rank in / 32, with a fixed projection s: LoRA (arXiv 2106.09685) with a frozen first factor, as LoRA-FA (arXiv 2308.03303)
has it; that scales alone can teach a quantized model is the finding of PEQA (arXiv 2305.14152), and (IA)^3 (arXiv 2205.05638) has the factors of
rows. Unlike a LoRA branch it goes back into the numbers that a block has anyway. Norms are multiplied by 1 + change.

Knows the names of a GGUF file's tensors; rows of queries and keys are in the order of the torch model. Does not know how a change was found.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from redvillm.errors import ExportError
from redvillm.export.quantization import BLOCK, BlockWeights

FloatArray = npt.NDArray[np.float32]
TUNED_KINDS = ("row_scales", "minimum_shifts", "norms")


@dataclass(frozen=True)
class LanguageTuning:
    """Changes by the name of a GGUF tensor; a tensor without an entry stays as it is.

    row_scales: float32 [out]. minimum_shifts: float32 [out, in / 32]. norms: float32 [in].
    """

    row_scales: Mapping[str, FloatArray] = field(default_factory=dict)
    minimum_shifts: Mapping[str, FloatArray] = field(default_factory=dict)
    norms: Mapping[str, FloatArray] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is changed."""
        return not (self.row_scales or self.minimum_shifts or self.norms)

    def weights(self, name: str, weights: BlockWeights) -> BlockWeights:
        """Return the tuned blocks of a matrix; scales and minimums are rounded to float16 as the file has them.

        Raises:
            ExportError: the change is made for a matrix of another size.
        """
        scale, shift = self.row_scales.get(name), self.minimum_shifts.get(name)
        if scale is None and shift is None:
            return weights
        self._check_sizes(name, (weights.scales.shape[0], weights.scales.shape[1]))
        factor = np.float32(1) if scale is None else 1 + scale[:, None]
        minimums = weights.explicit_minimums() * factor + (np.float32(0) if shift is None else shift)
        return BlockWeights(
            bits=weights.bits,
            codes=weights.codes,
            scales=(weights.scales * factor).astype(np.float16),
            minimums=minimums.astype(np.float16),
        )

    def values(self, name: str, values: FloatArray) -> FloatArray:
        """Return the tuned values of a matrix [out, in] that is not quantized; a change of a block's minimum is one of all of its values.

        Raises:
            ExportError: as `weights`.
        """
        scale, shift = self.row_scales.get(name), self.minimum_shifts.get(name)
        if scale is None and shift is None:
            return values
        blocks = (values.shape[0], values.shape[1] // BLOCK)
        self._check_sizes(name, blocks)
        factor = np.float32(1) if scale is None else 1 + scale[:, None]
        change = np.float32(0) if shift is None else np.repeat(shift, BLOCK, axis=1)
        return np.asarray(values * factor + change, dtype=np.float32)

    def _check_sizes(self, name: str, blocks: tuple[int, int]) -> None:
        """Require changes that fit a matrix of so many rows, and blocks in each."""
        scale, shift = self.row_scales.get(name), self.minimum_shifts.get(name)
        if (scale is not None and scale.shape != blocks[:1]) or (shift is not None and shift.shape != blocks):
            raise ExportError(f"the adapter tunes another LLM: its change of {name} does not fit a matrix of {blocks[0]} rows and {blocks[1]} blocks")

    def norm(self, name: str, values: FloatArray) -> FloatArray:
        """Return the tuned weights of a norm.

        Raises:
            ExportError: the change is made for a norm of another width.
        """
        change = self.norms.get(name)
        if change is None:
            return values
        if change.shape != values.shape:
            raise ExportError(f"the adapter tunes another LLM: its change of {name} has {len(change)} values, {len(values)} are wanted")
        return np.asarray(values * (1 + change), dtype=np.float32)


NO_TUNING = LanguageTuning()
