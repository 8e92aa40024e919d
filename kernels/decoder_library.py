"""Asking libredvillm_ort.so about the decoder's ops, redvillm::BlockLinear and redvillm::CachedAttention: the CPU level they run at, and their calls.

Knows two exported C functions (csrc/ort/library.cpp); does not know onnxruntime.
"""

import ctypes

from redvillm.errors import BackendError
from redvillm.kernels.ort_library import ORT_LIBRARY_NAME, ort_library_path


def decoder_op_level() -> str:
    """Return the CPU level of the ops on this processor, for example 'avx512vnni'.

    Raises:
        BackendError: the library is missing or cannot be loaded.
    """
    function = _load().redvillm_ort_decoder_level
    function.restype = ctypes.c_char_p
    return bytes(function()).decode()


def decoder_op_calls() -> int:
    """Return how often an op of the decoder has been called in this process, calls that it refused included.

    Raises:
        BackendError: the library is missing or cannot be loaded.
    """
    function = _load().redvillm_ort_decoder_calls
    function.restype = ctypes.c_int64
    return int(function())


def _load() -> ctypes.CDLL:
    path = ort_library_path()
    if path is None:
        raise BackendError(f"this redvillm was built without {ORT_LIBRARY_NAME}, because ONNX Runtime's headers were absent; build it with them")
    try:
        return ctypes.CDLL(str(path))
    except OSError as error:
        raise BackendError(f"{path} cannot be loaded ({error}); install redvillm again") from error
