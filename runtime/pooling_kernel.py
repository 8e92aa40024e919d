"""Which kernel computes the node `redvillm::SpatioTemporalPool` of a graph: the custom op of redvillm, or the function inside the file.

Knows session options and the library; does not open sessions.
"""

from pathlib import Path
from typing import Any

from redvillm.kernels.ort_library import OrtProvider, ort_library_path, ort_library_providers
from redvillm.runtime.custom_ops import holds, register_library

CUSTOM_KERNEL = "redvillm_ort (custom kernel)"
FUNCTION_BODY = "function body (standard operators)"
_OPERATOR = b"SpatioTemporalPool"
_PROVIDERS: dict[str, OrtProvider] = {"CPUExecutionProvider": "cpu", "CUDAExecutionProvider": "cuda"}


def choose_pooling_kernel(graph: Path, options: Any, provider: str) -> str | None:
    """Register the op with the onnxruntime.SessionOptions `options` if `graph` has its node and the library a kernel for `provider`.

    ONNX Runtime prefers a registered op to a function of the same name, so what is registered is what runs.

    Returns:
        CUSTOM_KERNEL, FUNCTION_BODY, or None for a graph without the node; the graph is left unread if it is no file.

    Raises:
        BackendError: the library is there, but it cannot be loaded or this onnxruntime does not take it.
    """
    if not holds(graph, _OPERATOR):
        return None
    library = ort_library_path()
    # without a kernel for the provider, the function on the provider is better than the custom kernel on the CPU
    if library is None or _PROVIDERS.get(provider) not in ort_library_providers():
        return FUNCTION_BODY
    register_library(library, options)
    return CUSTOM_KERNEL
