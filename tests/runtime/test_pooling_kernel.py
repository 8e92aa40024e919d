"""Which kernel a session uses for the pooling node: told, and never changed behind the caller's back."""

import numpy as np
import pytest
from ort_op import require_library
from pooling_graph import pooling_graph

from redvillm.errors import BackendError, BundleFileError
from redvillm.kernels.ort_library import ort_library_calls
from redvillm.runtime import pooling_kernel
from redvillm.runtime.pooling_kernel import CUSTOM_KERNEL, FUNCTION_BODY
from redvillm.runtime.session import open_session

X = np.arange(24, dtype=np.float32).reshape(2, 3, 4)


@pytest.fixture
def bare_graph(tmp_path):
    """A pooling node without a function: only the custom op can run it."""
    path = tmp_path / "bare.onnx"
    path.write_bytes(pooling_graph())
    return path


@pytest.fixture
def whole_graph(tmp_path):
    onnx = pytest.importorskip("onnx")
    pooling = pytest.importorskip("redvillm.export.pooling", reason="needs torch", exc_type=ImportError)
    model = onnx.load_from_string(pooling_graph())
    model.functions.append(pooling.pooling_function())
    path = tmp_path / "whole.onnx"
    path.write_bytes(model.SerializeToString())
    return path


@pytest.fixture
def without_library(monkeypatch):
    monkeypatch.setattr(pooling_kernel, "ort_library_path", lambda: None)


def temporal_pooling(session):
    return session.run(["temporal_pooling"], {"features": X})[0]


def test_the_custom_kernel_runs_where_it_was_built(bare_graph):
    require_library()
    before = ort_library_calls()
    session = open_session(bare_graph, threads=1)
    np.testing.assert_array_equal(temporal_pooling(session), X.mean(0))
    assert session.pooling_kernel == CUSTOM_KERNEL
    assert ort_library_calls() == before + 1


@pytest.mark.usefixtures("without_library")
def test_without_the_library_the_function_runs_and_the_session_says_so(whole_graph):
    session = open_session(whole_graph, threads=1)
    np.testing.assert_array_equal(temporal_pooling(session), X.mean(0))
    assert session.pooling_kernel == FUNCTION_BODY


def test_the_custom_kernel_goes_before_the_function(whole_graph):
    require_library()
    before = ort_library_calls()
    session = open_session(whole_graph, threads=1)
    temporal_pooling(session)
    assert session.pooling_kernel == CUSTOM_KERNEL
    assert ort_library_calls() == before + 1


@pytest.mark.usefixtures("without_library")
def test_a_graph_that_needs_the_op_cannot_be_opened_without_it(bare_graph):
    with pytest.raises(BundleFileError, match="SpatioTemporalPool"):
        open_session(bare_graph)


def test_a_library_that_is_broken_is_an_error_and_no_fallback(whole_graph, monkeypatch, tmp_path):
    broken = tmp_path / "libredvillm_ort.so"
    broken.write_bytes(b"no library")
    monkeypatch.setattr(pooling_kernel, "ort_library_path", lambda: broken)
    monkeypatch.setattr(pooling_kernel, "ort_library_providers", lambda: ("cpu",))
    with pytest.raises(BackendError, match=r"libredvillm_ort\.so cannot be registered with this onnxruntime"):
        open_session(whole_graph)


def test_a_refused_input_is_told_in_the_words_of_the_op(bare_graph):
    require_library()
    with pytest.raises(BackendError, match=r"features have the shape \[0, 3, 4\]"):
        open_session(bare_graph).run(["temporal_pooling"], {"features": X[:0]})


class Options:
    """Session options that only tell whether a library was registered."""

    registered = None

    def register_custom_ops_library(self, path):
        self.registered = path


def test_a_provider_without_a_kernel_gets_the_function(bare_graph, monkeypatch, tmp_path):
    monkeypatch.setattr(pooling_kernel, "ort_library_path", lambda: tmp_path / "library.so")
    monkeypatch.setattr(pooling_kernel, "ort_library_providers", lambda: ("cpu",))
    options = Options()
    assert pooling_kernel.choose_pooling_kernel(bare_graph, options, "CUDAExecutionProvider") == FUNCTION_BODY
    assert options.registered is None
    monkeypatch.setattr(pooling_kernel, "ort_library_providers", lambda: ("cpu", "cuda"))
    assert pooling_kernel.choose_pooling_kernel(bare_graph, options, "CUDAExecutionProvider") == CUSTOM_KERNEL
    assert options.registered == str(tmp_path / "library.so")


@pytest.mark.parametrize("content", [b"", b"a graph of other nodes", None])
def test_other_files_are_left_alone(tmp_path, content):
    path, options = tmp_path / "graph.onnx", Options()
    if content is not None:
        path.write_bytes(content)
    assert pooling_kernel.choose_pooling_kernel(path, options, "CPUExecutionProvider") is None
    assert options.registered is None
