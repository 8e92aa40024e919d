"""Patch features as the kernels read them, from whatever memory they are in: numpy, or anything that speaks DLPack, without a copy.

Knows arrays of other libraries by their protocol only; does not know what is computed. numpy has no bfloat16: its bits are carried as uint16,
and nothing else that reaches a kernel is uint16.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from redvillm.errors import OptionsError
from redvillm.kernels.backend import load_native
from redvillm.kernels.checks import FEATURE_DTYPES, FEATURE_NAMES, Sizes, check_layout, text_of

BFLOAT16_BITS = np.dtype(np.uint16)

_DLPACK_CPU = 1  # DLDeviceType, github.com/dmlc/dlpack
_DLPACK_NAMES = {
    2: "a CUDA device",
    3: "CUDA host memory",
    7: "a Vulkan device",
    8: "a Metal device",
    10: "a ROCm device",
    14: "an Intel oneAPI device",
}


def read_features(name: str, features: Any, sizes: Sizes) -> npt.NDArray[Any]:
    """Return patch features as a C-contiguous numpy array that shares their memory: float32, float16, or uint16 with the bits of bfloat16.

    Args:
        name: what the caller calls them.
        features: a numpy array of float32, float16 or ml_dtypes' bfloat16, or an object with `__dlpack__` in the memory of the processor (a torch
            tensor, an onnxruntime OrtValue) of float32, float16 or bfloat16.
        sizes: the sizes wanted, see check_array.

    Raises:
        OptionsError: another type, dtype, shape, layout or device.
        BackendError: bfloat16 through DLPack, and the native module is missing.
    """
    if type(features) is np.ndarray and features.dtype in FEATURE_DTYPES:
        check_layout(name, features, sizes)
        return features
    array = _from_numpy(name, features) if isinstance(features, np.ndarray) else _from_dlpack(name, features, sizes)
    check_layout(name, array, sizes)
    return array


def _from_numpy(name: str, features: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if features.dtype.name == "bfloat16":  # ml_dtypes, which need not be installed
        return features.view(BFLOAT16_BITS)
    if features.dtype not in FEATURE_DTYPES:
        _refuse_dtype(name, features.dtype)
    return np.asarray(features)


def _from_dlpack(name: str, features: Any, sizes: Sizes) -> npt.NDArray[Any]:
    if not hasattr(features, "__dlpack__") or not hasattr(features, "__dlpack_device__"):
        kind = type(features).__name__
        raise OptionsError(f"{name} is a {kind}, an array {text_of(sizes)} is wanted, of numpy or with __dlpack__; convert it with numpy.asarray")
    device = _device_of(name, features)
    if device != _DLPACK_CPU:
        where = _DLPACK_NAMES.get(device, f"DLPack device {device}")
        raise OptionsError(f"{name} is in the memory of {where}; these kernels run on the processor: copy it there first, as with .cpu()")
    try:
        array = np.from_dlpack(features)
    except (BufferError, RuntimeError, TypeError, ValueError) as error:
        return _bfloat16_bits(name, features, error)
    if array.dtype not in FEATURE_DTYPES:
        _refuse_dtype(name, array.dtype)
    return array


def _device_of(name: str, features: Any) -> int:
    try:
        return int(features.__dlpack_device__()[0])
    except (BufferError, RuntimeError, TypeError, ValueError) as error:
        raise OptionsError(f"{name} cannot be shared ({error}); pass {FEATURE_NAMES} in the processor's memory") from error


def _bfloat16_bits(name: str, features: Any, refusal: Exception) -> npt.NDArray[Any]:
    """Read what numpy refused: the native module knows one dtype more."""
    try:
        bits: npt.NDArray[Any] = load_native().bfloat16_bits(features)
    except TypeError:
        raise OptionsError(
            f"{name} cannot be shared ({refusal}); pass {FEATURE_NAMES} in the processor's memory, as with .detach().cpu()"
        ) from refusal
    return bits


def _refuse_dtype(name: str, dtype: Any) -> None:
    raise OptionsError(f"{name} has dtype {dtype}; {FEATURE_NAMES} is wanted: convert it with .astype(numpy.float32)")
