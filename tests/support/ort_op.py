"""Sessions with the op redvillm::SpatioTemporalPool registered. Imported by tests that have onnxruntime."""

import os

import pytest

from redvillm.kernels.ort_library import ort_library_path


def require_library():
    """Path of the op's library; a machine without it skips the test, except in CI, which builds it."""
    path = ort_library_path()
    if path is None:
        message = "this redvillm was built without the op for ONNX Runtime (docs/onnxruntime-op.md)"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    return path


def open_with_op(graph, *, threads=1):
    """Open serialized `graph` on the CPU with the op registered."""
    onnxruntime = pytest.importorskip("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4  # the refusals that tests provoke come as exceptions
    options.register_custom_ops_library(str(require_library()))
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
