"""A matrix of a decoder as float16 numbers, for LLMs that are not quantized. Knows numbers; does not know graphs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from redvillm.errors import ExportError

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True)
class HalfWeights:
    """One matrix, float16 [out, in]."""

    values: npt.NDArray[np.float16]

    @classmethod
    def of(cls, values: FloatArray) -> "HalfWeights":
        """Round a matrix [out, in].

        Raises:
            ExportError: a value that is not finite, or that float16 cannot hold.
        """
        with np.errstate(over="ignore"):
            rounded = values.astype(np.float16)
        if not np.isfinite(rounded).all():
            raise ExportError(f"a matrix holds values up to {np.abs(values).max():.3g}, float16 ends at 65504; take --llm int8 or int4")
        return cls(rounded)

    def dequantize(self) -> FloatArray:
        """Return the values, float32 [out, in]."""
        return self.values.astype(np.float32)


def stack_half_rows(parts: Sequence[HalfWeights]) -> HalfWeights:
    """Stack matrices of the same input, so that one product computes them all."""
    return HalfWeights(np.concatenate([part.values for part in parts]))
