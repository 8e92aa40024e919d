"""Finding libredvillm_ort.so, the op `redvillm::SpatioTemporalPool` for ONNX Runtime, and asking it what it has done.

Knows a file and three exported C functions (csrc/ort/library.cpp); does not know onnxruntime: who opens a session registers the library with
`SessionOptions.register_custom_ops_library(str(path))`.
"""

import ctypes
import importlib.util
from pathlib import Path
from typing import Literal

from redvillm.errors import BackendError

OrtProvider = Literal["cpu", "cuda"]

ORT_LIBRARY_NAME = "libredvillm_ort.so"
_PROVIDERS: tuple[OrtProvider, ...] = ("cpu", "cuda")  # in the order of the library's numbers


def ort_library_path() -> Path | None:
    """Return the path of the library, or None if this redvillm was built without it."""
    native = importlib.util.find_spec("redvillm.kernels._native")  # CMake installs both into one folder, which is not always this one
    folder = Path(native.origin).parent if native is not None and native.origin else Path(__file__).parent
    path = folder / ORT_LIBRARY_NAME
    return path if path.is_file() else None


def ort_library_providers() -> tuple[OrtProvider, ...]:
    """Return the providers of ONNX Runtime that the library has a kernel for.

    Raises:
        BackendError: the library is missing or cannot be loaded.
    """
    library = _load()
    return tuple(name for number, name in enumerate(_PROVIDERS) if library.redvillm_ort_calls(number) >= 0)


def ort_library_calls(provider: OrtProvider = "cpu") -> int:
    """Return how often the kernel of `provider` has been called in this process, calls that it refused included.

    Raises:
        BackendError: the library is missing, cannot be loaded, or has no kernel for `provider`.
    """
    calls = int(_load().redvillm_ort_calls(_PROVIDERS.index(provider)))
    if calls < 0:
        raise BackendError(f"{ORT_LIBRARY_NAME} was built without a kernel for {provider}; build redvillm with REDVILLM_CUDA=ON")
    return calls


def ort_library_api_version() -> int:
    """Return the version of ONNX Runtime's API that the library needs: 21 stands for onnxruntime 1.21 and newer.

    Raises:
        BackendError: the library is missing or cannot be loaded.
    """
    return int(_load().redvillm_ort_api_version())


def _load() -> ctypes.CDLL:
    path = ort_library_path()
    if path is None:
        raise BackendError(
            f"this redvillm was built without {ORT_LIBRARY_NAME}, because ONNX Runtime's headers were absent; "
            "docs/onnxruntime-op.md tells three ways to build it"
        )
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        raise BackendError(f"{path} cannot be loaded ({error}); install redvillm again") from error
    library.redvillm_ort_calls.restype = ctypes.c_int64
    library.redvillm_ort_calls.argtypes = [ctypes.c_int]
    return library
