"""Checks of arrays that the kernels are given: every refusal says what was wrong, what is legal, and the fix.

Knows shapes, dtypes and memory layout; does not know what is computed.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from redvillm.errors import OptionsError

FEATURE_DTYPES = (np.dtype(np.float32), np.dtype(np.float16))
FEATURE_NAMES = "float32, float16 or bfloat16"
FLOAT32 = (np.dtype(np.float32),)

Sizes = Sequence[int | str]  # a string names a free size, which must be at least 1


def check_array(name: str, array: Any, sizes: Sizes, dtypes: tuple[np.dtype[Any], ...]) -> None:
    """Require a C-contiguous numpy array of one of `dtypes`, native byte order and the given sizes.

    Raises:
        OptionsError: anything else.
    """
    if not isinstance(array, np.ndarray):
        raise OptionsError(f"{name} is a {type(array).__name__}, a numpy array {text_of(sizes)} is wanted; convert it with numpy.asarray")
    if array.dtype not in dtypes:
        legal = " or ".join(str(dtype) for dtype in dtypes)
        raise OptionsError(f"{name} has dtype {array.dtype}, {legal} is wanted; convert it with .astype(numpy.{dtypes[0]})")
    check_layout(name, array, sizes)


def check_layout(name: str, array: npt.NDArray[Any], sizes: Sizes) -> None:
    """Require the given sizes, C-contiguous and aligned.

    Raises:
        OptionsError: anything else.
    """
    if array.ndim != len(sizes) or any(_differs(actual, size) for actual, size in zip(array.shape, sizes, strict=True)):
        raise OptionsError(f"{name} has shape {list(array.shape)}, {text_of(sizes)} is wanted, every size at least 1; check the order of the axes")
    if not array.flags.c_contiguous or not array.flags.aligned:
        raise OptionsError(f"{name} is not contiguous in memory; pass a copy: numpy.ascontiguousarray({name}), or .contiguous() of torch")


def check_output(name: str, array: Any, sizes: Sizes, inputs: npt.NDArray[Any]) -> None:
    """Require a float32 array of the given sizes that can be written and shares no memory with `inputs`.

    Raises:
        OptionsError: anything else.
    """
    check_array(name, array, sizes, FLOAT32)
    if not array.flags.writeable:
        raise OptionsError(f"{name} is read-only; pass an array that may be written")
    if np.may_share_memory(array, inputs):
        raise OptionsError(f"{name} shares memory with another argument; pass a buffer of its own")


def check_weights(weights: Any, num_frames: int) -> None:
    """Require frame weights: float32 [T], finite, none negative, their sum above zero.

    Raises:
        OptionsError: anything else.
    """
    check_array("weights", weights, (num_frames,), FLOAT32)
    if not np.isfinite(weights).all() or (weights < 0).any() or not weights.any():
        raise OptionsError("weights must be finite and not negative, and at least one must be above zero; pass None for the plain mean")


def check_count(name: str, value: Any, smallest: int, largest: int | None = None) -> None:
    """Require an integer in [smallest, largest].

    Raises:
        OptionsError: anything else.
    """
    is_integer = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not is_integer or value < smallest or (largest is not None and value > largest):
        legal = f"at least {smallest}" if largest is None else f"from {smallest} to {largest}"
        raise OptionsError(f"{name} is {value!r:.40}; it must be an integer, {legal}")


def _differs(actual: int, wanted: int | str) -> bool:
    return actual < 1 if isinstance(wanted, str) else actual != wanted


def text_of(sizes: Sizes) -> str:
    """Return sizes as they are written in messages, such as [T, N, 64]."""
    return f"[{', '.join(str(size) for size in sizes)}]"
