import builtins
import os
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from redvillm.errors import BackendError, BundleFileError, OptionsError
from redvillm.runtime.session import CPU_PROVIDER, check_threads, open_session, products_saturate


@pytest.fixture
def doubling_graph(tmp_path):
    """y = x + x, for x float32 [n, 3]."""
    helper = pytest.importorskip("onnx").helper
    node = helper.make_node("Add", ["x", "x"], ["y"])
    sides = [[helper.make_tensor_value_info(name, 1, ["n", 3])] for name in ("x", "y")]
    model = helper.make_model(helper.make_graph([node], "double", *sides), opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (tmp_path / "double.onnx").write_bytes(model.SerializeToString())
    return tmp_path / "double.onnx"


def test_it_runs_and_tells_provider_and_threads(doubling_graph):
    session = open_session(doubling_graph, threads=1)
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.testing.assert_array_equal(session.run(["y"], {"x": x})[0], 2 * x)
    assert (session.provider, session.threads) == (CPU_PROVIDER, 1)
    assert open_session(doubling_graph).threads == len(os.sched_getaffinity(0))


def test_bound_buffers_are_used_in_place(doubling_graph):
    session = open_session(doubling_graph)
    x, y = np.ones((2, 3), np.float32), np.zeros((2, 3), np.float32)
    binding = session.bind()
    binding.bind_cpu_input("x", x)
    binding.bind_output("y", "cpu", 0, np.float32, y.shape, y.ctypes.data)
    session.run_bound(binding)
    np.testing.assert_array_equal(y, 2 * x)


def test_wrong_inputs_are_an_error_of_ours(doubling_graph):
    session = open_session(doubling_graph)
    with pytest.raises(BackendError, match=r"running double.onnx failed"):
        session.run(["y"], {"x": np.ones((2, 4), np.float32)})
    binding = session.bind()
    binding.bind_cpu_input("x", np.ones((2, 4), np.float32))
    binding.bind_output("y")
    with pytest.raises(BackendError, match=r"running double.onnx failed"):
        session.run_bound(binding)


def test_a_graph_that_cannot_be_read_is_a_bundle_error(tmp_path):
    for content in (b"", b"not a graph"):
        (tmp_path / "broken.onnx").write_bytes(content)
        with pytest.raises(BundleFileError, match=r"broken.onnx cannot be opened"):
            open_session(tmp_path / "broken.onnx")
    with pytest.raises(BundleFileError, match=r"absent.onnx cannot be opened"):
        open_session(tmp_path / "absent.onnx")


def test_a_provider_that_is_not_installed_is_an_error(doubling_graph):
    with pytest.raises(BackendError, match=f"no TeleportProvider; it has .*{CPU_PROVIDER}"):
        open_session(doubling_graph, provider="TeleportProvider")


def test_a_provider_that_silently_falls_back_is_an_error(doubling_graph, monkeypatch):
    """As onnxruntime-gpu does where the CUDA libraries are missing: available, asked for, and not running."""
    fake = SimpleNamespace(
        get_available_providers=lambda: ["CUDAExecutionProvider", CPU_PROVIDER],
        SessionOptions=lambda: SimpleNamespace(add_session_config_entry=lambda key, value: None),
        InferenceSession=lambda path, options, providers, **_: SimpleNamespace(get_providers=lambda: [CPU_PROVIDER]),
    )
    monkeypatch.setitem(sys.modules, "onnxruntime", fake)
    with pytest.raises(BackendError, match="was to run on CUDAExecutionProvider, but onnxruntime chose CPUExecutionProvider"):
        open_session(doubling_graph, provider="CUDAExecutionProvider")


def test_a_missing_onnxruntime_tells_what_to_install(doubling_graph, monkeypatch):
    real_import = builtins.__import__

    def without_onnxruntime(name, *arguments, **options):
        if name == "onnxruntime":
            raise ImportError("No module named 'onnxruntime'")
        return real_import(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without_onnxruntime)
    with pytest.raises(BackendError, match=r"install redvillm\[cpu\]"):
        open_session(doubling_graph)


@pytest.mark.parametrize("threads", [0, -1, 1.5, True, "2"])
def test_illegal_threads(threads):
    with pytest.raises(OptionsError, match="threads is"):
        check_threads(threads)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [("fpu avx2 fma", True), ("fpu avx2 avx512f", True), ("avx2 avx512_vnni", False), ("avx2 avx_vnni", False), ("", False)],
)
def test_processors_without_vnni_are_told(flags, expected):
    info = f"processor\t: 0\nmodel name\t: avx_vnni in a name\nflags\t\t: {flags}\n" * 2
    assert products_saturate(info) == expected
