"""The choice of what runs the vision encoder: what was asked for, or an error."""

import builtins
import importlib.util
import sys
import threading
from types import SimpleNamespace

import numpy as np
import pytest

from redvillm.errors import BackendError, BundleFileError, OptionsError
from redvillm.runtime import openvino_session
from redvillm.runtime.session import CPU_PROVIDER
from redvillm.runtime.vision_session import open_vision_session

needs_openvino = pytest.mark.skipif(importlib.util.find_spec("openvino") is None, reason="openvino is not installed (extra openvino)")
BACKENDS = ["onnxruntime", pytest.param("openvino", marks=needs_openvino)]


@pytest.fixture
def summing_graph(tmp_path):
    """features = pixels + pixels as float32, for pixels uint8 [n, 3]."""
    helper = pytest.importorskip("onnx").helper
    nodes = [helper.make_node("Cast", ["pixels"], ["numbers"], to=1), helper.make_node("Add", ["numbers", "numbers"], ["features"])]
    sides = [[helper.make_tensor_value_info(name, kind, ["n", 3])] for name, kind in (("pixels", 2), ("features", 1))]
    model = helper.make_model(helper.make_graph(nodes, "sum", *sides), opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (tmp_path / "vision.onnx").write_bytes(model.SerializeToString())
    return tmp_path / "vision.onnx"


def pixels(num_frames):
    return np.arange(3 * num_frames, dtype=np.uint8).reshape(num_frames, 3)


@pytest.mark.parametrize("backend", BACKENDS)
def test_any_number_of_frames_in_any_order(summing_graph, backend):
    session = open_vision_session(summing_graph, backend=backend, threads=1)
    assert session.provider == {"onnxruntime": CPU_PROVIDER, "openvino": "OpenVINO CPU"}[backend]
    assert session.threads == 1
    kept = [(session.run(["features"], {"pixels": pixels(count)})[0], count) for count in (1, 7, 2, 1)]
    for got, count in kept:  # an earlier result is not overwritten by a later run
        np.testing.assert_array_equal(got, 2.0 * pixels(count))


@pytest.mark.parametrize("backend", BACKENDS)
def test_several_threads_may_run_it(summing_graph, backend):
    session, wrong = open_vision_session(summing_graph, backend=backend, threads=1), []

    def work(count):
        for _ in range(30):
            if not np.array_equal(session.run(["features"], {"pixels": pixels(count)})[0], 2.0 * pixels(count)):
                wrong.append(count)

    threads = [threading.Thread(target=work, args=(count,)) for count in (1, 2, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize("backend", BACKENDS)
def test_wrong_inputs_and_graphs_are_errors_of_ours(summing_graph, tmp_path, backend):
    with pytest.raises(BackendError, match=r"running vision.onnx"):
        open_vision_session(summing_graph, backend=backend).run(["features"], {"pixels": np.zeros((1, 4), np.uint8)})
    (tmp_path / "broken.onnx").write_bytes(b"not a graph")
    with pytest.raises(BundleFileError, match=r"broken.onnx cannot be opened"):
        open_vision_session(tmp_path / "broken.onnx", backend=backend)


def test_unknown_backends_are_refused(tmp_path):
    with pytest.raises(OptionsError, match="onnxruntime, openvino"):
        open_vision_session(tmp_path / "vision.onnx", backend="torch")


def test_a_missing_openvino_is_an_error_not_a_fallback(summing_graph, monkeypatch):
    real_import = builtins.__import__

    def without_openvino(name, *arguments, **options):
        if name == "openvino":
            raise ImportError("No module named 'openvino'")
        return real_import(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without_openvino)
    with pytest.raises(BackendError, match=r"install redvillm\[openvino\]"):
        open_vision_session(summing_graph, backend="openvino")


def test_another_device_than_the_asked_one_is_an_error(summing_graph, monkeypatch):
    compiled = SimpleNamespace(get_property=lambda name: ["GPU"])
    core = SimpleNamespace(read_model=lambda path: path, compile_model=lambda graph, device, properties: compiled)
    monkeypatch.setitem(sys.modules, "openvino", SimpleNamespace(Core=lambda: core))
    with pytest.raises(BackendError, match="OpenVINO chose GPU"):
        openvino_session.open_openvino_session(summing_graph)
