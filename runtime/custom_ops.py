"""Custom ops in graphs: whether a graph has one, and registering the library that computes it.

Knows files and session options; does not know what an op computes.
"""

import mmap
from pathlib import Path
from typing import Any

from redvillm.errors import BackendError


def holds(graph: Path, operator: bytes) -> bool:
    """Tell whether `graph` names an operator; no for what is no file."""
    if not graph.is_file() or graph.stat().st_size == 0:
        return False
    with graph.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(operator) >= 0


def register_library(library: Path, options: Any) -> None:
    """Register the ops of `library` with an onnxruntime.SessionOptions.

    Raises:
        BackendError: this onnxruntime does not take it.
    """
    try:
        options.register_custom_ops_library(str(library))
    except Exception as error:  # the library's errors have no common base
        reason = " ".join(str(error).split())[:300]
        raise BackendError(
            f"{library} cannot be registered with this onnxruntime ({reason}); install redvillm again, see 'redvillm doctor'"
        ) from error
