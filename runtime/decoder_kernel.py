"""Which kernels compute a decoder's graph: the ops of redvillm, or the functions inside the file.

Knows session options and the library; does not open sessions.
"""

from pathlib import Path
from typing import Any

from redvillm.kernels.decoder_library import decoder_op_level
from redvillm.kernels.ort_library import ort_library_path
from redvillm.runtime.custom_ops import holds, register_library

FUNCTION_BODIES = "function bodies (operators of ONNX Runtime)"
_OPERATOR = b"BlockLinear"


def custom_kernels(level: str) -> str:
    """Return the words for redvillm's own ops at a CPU level."""
    return f"redvillm_ort (custom kernels, {level})"


def choose_decoder_kernel(graph: Path, options: Any, provider: str) -> str | None:
    """Register the ops with the onnxruntime.SessionOptions `options` if `graph` has their nodes, runs on the CPU, and the library is there.

    ONNX Runtime prefers a registered op to a function of the same name, so what is registered is what runs.

    Returns:
        What runs, in words, or None for a graph without such nodes.

    Raises:
        BackendError: the library is there, but it cannot be loaded or this onnxruntime does not take it.
    """
    if not holds(graph, _OPERATOR):
        return None
    library = ort_library_path()
    if library is None or provider != "CPUExecutionProvider":
        return FUNCTION_BODIES
    register_library(library, options)
    return custom_kernels(decoder_op_level())
