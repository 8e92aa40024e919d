"""The plugin in TensorRT's registry, and what it hands to the launcher. The builder meets it in tests/export/test_engine.py."""

import subprocess
import sys
from types import SimpleNamespace

import pytest
from tensorrt_needs import has_driver, needs_rtx, needs_tensorrt

from redvillm.errors import BackendError, OptionsError
from redvillm.kernels.tensorrt_device import gpu_architecture
from redvillm.kernels.tensorrt_module import load_tensorrt, version_numbers
from redvillm.kernels.tensorrt_plugin import register_plugin


class Recorder:
    """Stands for the launcher: keeps the arguments."""

    def __init__(self):
        self.calls = []

    def pool(self, *arguments):
        self.calls.append(arguments)


@pytest.fixture(scope="module")
def tensorrt():
    return load_tensorrt()


@pytest.fixture(scope="module")
def recorder():
    return Recorder()


@pytest.fixture
def plugin(tensorrt, recorder):
    """A new plugin of the registered creator, as TensorRT makes it."""
    register_plugin(tensorrt, load_launcher=lambda: recorder)
    recorder.calls.clear()
    trt = tensorrt.module
    creator = trt.get_plugin_registry().get_creator("SpatioTemporalPool", "1", "redvillm")
    return creator.create_plugin("pool", trt.PluginFieldCollection([]), trt.TensorRTPhase.BUILD)


def description(tensorrt, sizes, element="FLOAT", tensor_format="LINEAR"):
    tensor = tensorrt.module.PluginTensorDesc()
    tensor.dims = sizes
    tensor.type = getattr(tensorrt.module.DataType, element)
    tensor.format = getattr(tensorrt.module.TensorFormat, tensor_format)
    return tensor


@needs_tensorrt
def test_registering_again_changes_nothing(tensorrt, plugin):
    registry = tensorrt.module.get_plugin_registry()
    number = len(registry.all_creators)
    assert register_plugin(tensorrt) is register_plugin()
    assert len(registry.all_creators) == number
    creator = registry.get_creator("SpatioTemporalPool", "1", "redvillm")
    assert (creator.name, creator.plugin_version, creator.plugin_namespace) == ("SpatioTemporalPool", "1", "redvillm")
    assert (plugin.plugin_name, plugin.plugin_version, plugin.plugin_namespace, plugin.num_outputs) == ("SpatioTemporalPool", "1", "redvillm", 2)


@needs_tensorrt
@pytest.mark.parametrize(("element", "name"), [("FLOAT", "float32"), ("HALF", "float16")])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_launcher_gets_pointers_sizes_and_stream(tensorrt, plugin, recorder, element, name, weighted):
    inputs = [description(tensorrt, (5, 7, 13), element)] + [description(tensorrt, (5,))] * weighted
    outputs = [description(tensorrt, (7, 13), element), description(tensorrt, (5, 13), element)]
    plugin.attach_to_context(None).enqueue(inputs, outputs, [1 << 40, 22][: len(inputs)], [33, 44], 0, 55)
    assert recorder.calls == [(1 << 40, name, (5, 7, 13), 22 if weighted else None, 33, 44, 55)]


@needs_tensorrt
def test_a_plugin_that_was_not_attached_finds_its_launcher(tensorrt, plugin, recorder):
    plugin.enqueue([description(tensorrt, (1, 1, 1))], [], [11], [33, 44], 0, 0)
    assert recorder.calls == [(11, "float32", (1, 1, 1), None, 33, 44, 0)]


@needs_tensorrt
@pytest.mark.parametrize(
    ("sizes", "elements"),
    [([(0, 7, 3)], ["FLOAT"]), ([(7, 3)], ["FLOAT"]), ([(5, 7, 3), (4,)], ["FLOAT"] * 2), ([(5, 7, 3)], ["INT8"]), ([(5, 7, 3), (5,)], ["HALF"] * 2)],
)
def test_what_cannot_be_pooled_is_not_launched(tensorrt, plugin, recorder, sizes, elements):
    inputs = [description(tensorrt, *both) for both in zip(sizes, elements, strict=True)]
    with pytest.raises(OptionsError):
        plugin.enqueue(inputs, [], [1] * len(inputs), [2, 3], 0, 0)
    assert recorder.calls == []
    assert plugin.journal.refusals


@needs_tensorrt
def test_a_clone_is_a_plugin_of_its_own(plugin):
    copy = plugin.clone()
    assert copy is not plugin
    assert copy.num_outputs == 2
    assert copy.journal is plugin.journal


@needs_tensorrt
def test_types_and_formats(tensorrt, plugin):
    types = tensorrt.module.DataType
    assert plugin.get_output_data_types([types.HALF, types.FLOAT]) == [types.HALF, types.HALF]
    with pytest.raises(OptionsError):
        plugin.get_output_data_types([types.INT32])
    dynamic = [SimpleNamespace(desc=description(tensorrt, (-1, 7, 3), *rest)) for rest in [("HALF", "LINEAR"), ("HALF", "CHW2"), ("FLOAT", "LINEAR")]]
    assert plugin.supports_format_combination(0, dynamic, 1)
    assert not plugin.supports_format_combination(1, dynamic, 1)
    assert not plugin.supports_format_combination(2, dynamic, 1)


@needs_tensorrt
def test_an_empty_profile_is_refused(tensorrt, plugin):
    def profile(smallest, largest):
        return SimpleNamespace(desc=description(tensorrt, (-1, 7, 3)), min=(smallest, 7, 3), max=(largest, 7, 3))

    plugin.configure_plugin([profile(1, 16)], [])
    plugin.on_shape_change([description(tensorrt, (16, 7, 3))], [])
    with pytest.raises(OptionsError):
        plugin.configure_plugin([profile(0, 16)], [])


@needs_tensorrt
def test_something_else_under_that_name_is_refused():
    code = """
from redvillm.errors import BackendError
from redvillm.kernels.tensorrt_module import load_tensorrt
from redvillm.kernels.tensorrt_plugin import register_plugin
trt = load_tensorrt().module
class Other(trt.IPluginCreatorV3One):
    def __init__(self):
        super().__init__()
        self.name, self.plugin_namespace, self.plugin_version, self.field_names = "SpatioTemporalPool", "redvillm", "1", trt.PluginFieldCollection([])
assert trt.get_plugin_registry().register_creator(Other(), "redvillm")
try:
    register_plugin()
except BackendError as error:
    print(error)
"""
    assert "another kind" in run_python(code).stdout


@needs_rtx
def test_a_library_imported_too_early_is_refused_instead_of_aborting():
    code = """
import tensorrt_rtx
from redvillm.errors import BackendError
from redvillm.kernels.tensorrt_module import load_tensorrt
try:
    load_tensorrt()
except BackendError as error:
    print(error)
"""
    assert "before the first" in run_python(code).stdout


@needs_rtx
def test_without_help_the_parser_would_abort(tmp_path):
    """When this fails, the wheel has learnt to do without `tensorrt_rtx_libraries`."""
    onnx = pytest.importorskip("onnx")
    node = onnx.helper.make_node("SpatioTemporalPool", ["x"], ["a", "b"], domain="redvillm", plugin_namespace="redvillm", plugin_version="1")
    sizes = {"x": [5, 7, 3], "a": [7, 3], "b": [5, 3]}
    x, a, b = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, size) for name, size in sizes.items())
    opsets = [onnx.helper.make_opsetid("", 20), onnx.helper.make_opsetid("redvillm", 1)]
    onnx.save(onnx.helper.make_model(onnx.helper.make_graph([node], "g", [x], [a, b]), opset_imports=opsets, ir_version=10), tmp_path / "pool.onnx")
    parse = f"""
from redvillm.kernels.tensorrt_plugin import register_plugin
trt = tensorrt.module
register_plugin(tensorrt)
network = trt.Builder(trt.Logger(trt.Logger.ERROR)).create_network(1)
print(trt.OnnxParser(network, trt.Logger(trt.Logger.ERROR)).parse_from_file({str(tmp_path / "pool.onnx")!r}))
"""
    helped = "from redvillm.kernels.tensorrt_module import load_tensorrt\ntensorrt = load_tensorrt()"
    unhelped = "import tensorrt_rtx\nfrom redvillm.kernels.tensorrt_module import TensorRT\ntensorrt = TensorRT('tensorrt_rtx', '1', tensorrt_rtx)"
    assert run_python(helped + parse).stdout.strip() == "True"
    assert run_python(unhelped + parse, check=False).returncode < 0


def test_no_tensorrt_is_said_in_words():
    code = """
import importlib.util
from redvillm.errors import BackendError, OptionsError
from redvillm.kernels.tensorrt_module import load_tensorrt
importlib.util.find_spec = lambda name: None
for flavour in (None, "tensorrt", "tensorrt_rtx", "onnx"):
    try:
        load_tensorrt(flavour)
    except (BackendError, OptionsError) as error:
        print(type(error).__name__, error)
"""
    lines = run_python(code).stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["BackendError"] * 3 + ["OptionsError"]
    assert "pip install" in lines[0]


@pytest.mark.parametrize(
    ("files", "flavour", "expected"),
    [
        ({"tensorrt": "__version__ = '10.3.0.26'"}, None, "TensorRT 10.3.0.26 False"),
        ({"tensorrt": "__version__ = '10.7.0'"}, None, "TensorRT 10.7.0 True"),
        ({"tensorrt": "__version__ = '11.4.0.1'", "tensorrt_rtx": "__version__ = '1.7'"}, None, "TensorRT 11.4.0.1 True"),
        ({"tensorrt": "__version__ = '11.4.0.1'", "tensorrt_rtx": "__version__ = '1.7'"}, "tensorrt_rtx", "TensorRT for RTX 1.7 True"),
        ({"tensorrt": "__version__ = '10.2.9'"}, None, "BackendError"),
        ({"tensorrt": "raise OSError('libnvinfer.so.10 is missing')", "tensorrt_rtx": "__version__ = '1.7'"}, None, "BackendError"),
    ],
)
def test_which_library_is_chosen(tmp_path, files, flavour, expected):
    for name, text in files.items():
        (tmp_path / f"{name}.py").write_text(text)
    code = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
from redvillm.errors import BackendError
from redvillm.kernels import tensorrt_module
tensorrt_module.load_rtx_libraries = lambda: None
try:
    chosen = tensorrt_module.load_tensorrt({flavour!r})
    print(chosen, chosen.prefers_plugins)
except BackendError as error:
    print(type(error).__name__)
"""
    assert run_python(code).stdout.strip() == expected


def test_version_numbers():
    assert version_numbers("10.3.0.26") == (10, 3, 0, 26)
    assert version_numbers("10.13.0rc1") == (10, 13, 0)
    assert version_numbers("unknown") == ()


@pytest.mark.skipif(has_driver(), reason="this machine has a driver")
def test_no_driver_is_said_in_words():
    with pytest.raises(BackendError, match="driver"):
        gpu_architecture()


@pytest.mark.gpu
@pytest.mark.skipif(not has_driver(), reason="no NVIDIA driver")
def test_the_driver_names_the_architecture():
    assert gpu_architecture()[:2] == "SM"


def run_python(code, *, check=True):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=check, timeout=60)
