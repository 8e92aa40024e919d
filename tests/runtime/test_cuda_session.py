"""Sessions on the CUDA provider: what is asked of onnxruntime, and every way in which the CPU could do the work unnoticed. No GPU is needed."""

import sys
from types import SimpleNamespace

import pytest
from pooling_graph import pooling_graph

from redvillm.errors import BackendError, BundleFileError
from redvillm.runtime import cuda_session, decoder_kernel, pooling_kernel
from redvillm.runtime.cuda_session import CUDA_PROVIDER, check_places, prepare_cuda
from redvillm.runtime.decoder_kernel import FUNCTION_BODIES, choose_decoder_kernel
from redvillm.runtime.pooling_kernel import CUSTOM_KERNEL, FUNCTION_BODY, choose_pooling_kernel
from redvillm.runtime.session import CPU_PROVIDER, open_session


class FakeOptions:
    def __init__(self):
        self.entries, self.libraries = {}, []

    def add_session_config_entry(self, key, value):
        self.entries[key] = value

    def register_custom_ops_library(self, path):
        self.libraries.append(path)


class FakeRuntime:
    """An onnxruntime-gpu. `places`: operators by provider; `error` is raised when a session is made."""

    def __init__(self, *, version="1.31.1", places=None, error=None, running=CUDA_PROVIDER):
        self.__version__, self._places, self._error, self._running = version, places or {}, error, running
        self.options = self.providers = None

    SessionOptions = FakeOptions

    def get_available_providers(self):
        return [CUDA_PROVIDER, CPU_PROVIDER]

    def preload_dlls(self):
        print("Failed to load libcublas.so.13")

    def InferenceSession(self, path, options, *, providers, enable_fallback):  # noqa: N802
        assert enable_fallback == 0
        self.options, self.providers = options, providers
        if self._error is not None:
            raise self._error
        nodes = {provider: [SimpleNamespace(domain=domain, op_type=kind) for domain, kind in kinds] for provider, kinds in self._places.items()}
        info = [SimpleNamespace(ep_name=provider, get_nodes=lambda nodes=listed: nodes) for provider, listed in nodes.items()]
        return SimpleNamespace(get_providers=lambda: [self._running, CPU_PROVIDER], get_provider_graph_assignment_info=lambda: info)


@pytest.fixture
def open_on(monkeypatch, tmp_path):
    """A function that opens a graph on the CUDA provider of an onnxruntime."""

    def opened(runtime):
        monkeypatch.setitem(sys.modules, "onnxruntime", runtime)
        return open_session(tmp_path / "decoder.onnx", provider=CUDA_PROVIDER, threads=2)

    return opened


def test_it_runs_on_the_gpu_and_only_there(open_on, capsys):
    runtime = FakeRuntime(
        places={CUDA_PROVIDER: [("", "MatMul"), ("com.microsoft", "GroupQueryAttention")], CPU_PROVIDER: [("", "Shape"), ("", "Gather")]}
    )
    session = open_on(runtime)
    assert (session.provider, session.threads) == (CUDA_PROVIDER, 2)
    ((provider, options),) = runtime.providers
    assert provider == CUDA_PROVIDER
    assert options["device_id"] == "0"
    assert all(isinstance(value, str) for value in options.values())
    assert capsys.readouterr().out == ""  # standard output belongs to answers


def test_nodes_that_are_left_to_the_cpu_are_an_error(open_on):
    places = {CUDA_PROVIDER: [("", "Gather")], CPU_PROVIDER: [("", "Shape"), ("com.microsoft", "MatMulNBits"), ("", "Softmax"), ("", "Softmax")]}
    with pytest.raises(BackendError, match=r"no kernel for Softmax, com\.microsoft::MatMulNBits of it"):
        open_on(FakeRuntime(places=places))


def test_an_operator_of_a_name_of_a_shape_operator_in_another_domain_is_an_error(open_on):
    with pytest.raises(BackendError, match="redvillm::Gather"):
        open_on(FakeRuntime(places={CPU_PROVIDER: [("redvillm", "Gather")]}))


def test_an_old_onnxruntime_is_made_to_refuse_by_itself(open_on):
    for version, entry in (("1.23.2", "session.disable_cpu_ep_fallback"), ("1.24.0", "session.record_ep_graph_assignment_info")):
        runtime = FakeRuntime(version=version)
        open_on(runtime)
        asked = {"session.disable_cpu_ep_fallback", "session.record_ep_graph_assignment_info"} & set(runtime.options.entries)
        assert asked == {entry}
        assert runtime.options.entries[entry] == "1"
    refusal = RuntimeError(
        "This session contains graph nodes that are assigned to the default CPU EP, but fallback to CPU EP has been explicitly disabled"
    )
    with pytest.raises(BackendError, match=r"install 1\.24"):
        open_on(FakeRuntime(version="1.22.0", error=refusal))


def test_a_provider_that_does_not_start_is_an_error(open_on):
    with pytest.raises(BackendError, match="was to run on CUDAExecutionProvider, but onnxruntime chose CPUExecutionProvider"):
        open_on(FakeRuntime(running=CPU_PROVIDER))
    for text in ("CUDA failure 35: CUDA driver version is insufficient", "Failed to load libcudnn.so.9", "CUBLAS_STATUS_ALLOC_FAILED"):
        with pytest.raises(BackendError, match=r"cannot run decoder\.onnx here .*redvillm doctor"):
            open_on(FakeRuntime(error=RuntimeError(text)))


def test_a_graph_that_cannot_be_read_is_still_a_bundle_error(open_on):
    with pytest.raises(BundleFileError, match=r"decoder\.onnx cannot be opened"):
        open_on(FakeRuntime(error=RuntimeError("Protobuf parsing failed")))


def test_a_plain_onnxruntime_says_what_to_install(tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    if CUDA_PROVIDER in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has the CUDA provider")
    with pytest.raises(BackendError, match=r"no CUDAExecutionProvider.*redvillm doctor"):
        open_session(tmp_path / "vision.onnx", provider=CUDA_PROVIDER)


@pytest.fixture
def recorded(tmp_path):
    """A function that opens a graph of operators on the CPU of the real onnxruntime, with its places recorded."""
    onnxruntime, onnx = pytest.importorskip("onnxruntime"), pytest.importorskip("onnx")
    if not cuda_session._tells_places(onnxruntime):
        pytest.skip("this onnxruntime is older than 1.24")

    def opened(*nodes):
        helper = onnx.helper
        made = [helper.make_node(kind, inputs, [output]) for kind, inputs, output in nodes]
        sides = (
            [helper.make_tensor_value_info("x", 1, ["n", 3])],
            [helper.make_tensor_value_info(nodes[-1][2], 7 if nodes[-1][0] == "Shape" else 1, None)],
        )
        model = helper.make_model(helper.make_graph(made, "g", *sides), opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        options = onnxruntime.SessionOptions()
        prepare_cuda(SimpleNamespace(__version__=onnxruntime.__version__), options)
        return onnxruntime, onnxruntime.InferenceSession(model.SerializeToString(), options, providers=[CPU_PROVIDER])

    return opened


def test_the_real_onnxruntime_tells_the_places(recorded, tmp_path):
    runtime, session = recorded(("Shape", ["x"], "y"))
    check_places(runtime, session, tmp_path / "shapes.onnx")
    runtime, session = recorded(("Softmax", ["x"], "y"), ("Erf", ["y"], "z"))
    with pytest.raises(BackendError, match=r"shapes\.onnx .* no kernel for Erf, Softmax"):
        check_places(runtime, session, tmp_path / "shapes.onnx")


# ---- custom ops


@pytest.fixture
def with_library(monkeypatch, tmp_path):
    """A libredvillm_ort.so whose kernels for the pooling can be chosen; those for the decoder are always for the CPU."""

    def have(*providers):
        for module in (decoder_kernel, pooling_kernel):
            monkeypatch.setattr(module, "ort_library_path", lambda: tmp_path / "libredvillm_ort.so")
        monkeypatch.setattr(pooling_kernel, "ort_library_providers", lambda: providers)

    return have


def test_kernels_of_the_cpu_are_not_registered_on_cuda(with_library, tmp_path):
    with_library("cpu")
    options = FakeOptions()
    (tmp_path / "pool.onnx").write_bytes(pooling_graph())
    (tmp_path / "decoder.onnx").write_bytes(b"a graph with BlockLinear in it")
    assert choose_decoder_kernel(tmp_path / "decoder.onnx", options, CUDA_PROVIDER) == FUNCTION_BODIES
    assert choose_pooling_kernel(tmp_path / "pool.onnx", options, CUDA_PROVIDER) == FUNCTION_BODY
    assert options.libraries == []
    with_library("cpu", "cuda")
    assert choose_decoder_kernel(tmp_path / "decoder.onnx", options, CUDA_PROVIDER) == FUNCTION_BODIES
    assert options.libraries == []
    assert choose_pooling_kernel(tmp_path / "pool.onnx", options, CUDA_PROVIDER) == CUSTOM_KERNEL
    assert len(options.libraries) == 1
