"""The ahead-of-time plugin: its launch expressions evaluated, its use of `tensorrt.plugin` on a stand-in, its PTX by nvcc. No TensorRT runs it."""

import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import aot_stand_in
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nvcc_needs import needs_nvcc
from tensorrt_needs import needs_rtx

from redvillm.errors import BackendError, OptionsError
from redvillm.kernels.cuda_aot import aot_launch
from redvillm.kernels.tensorrt_aot import register_aot_plugin, symbolic_launch
from redvillm.kernels.tensorrt_module import TensorRT, load_tensorrt

CUDA = Path(__file__).parents[2] / "kernels/csrc/cuda"
ELEMENTS = {"float32": 4, "float16": 2}
SHARED_LIMIT = 48 * 1024
needs_source = pytest.mark.skipif(not (CUDA / "aot.cu").is_file(), reason="the sources of the kernels are not here")


def launch_of(element, *sizes):
    """The launch as numbers, through symbols for all three sizes."""
    launch = symbolic_launch(element, tuple(map(aot_stand_in.size, "TND")), aot_stand_in.make_module())
    return [aot_stand_in.value_of(value, dict(zip("TND", sizes, strict=True))) for value in (launch.grid_x, launch.block_x, launch.shared_bytes)]


# by hand from the comment in aot.cu
@pytest.mark.parametrize(
    ("element", "sizes", "expected"),
    [
        ("float32", (1, 1, 1), [1, 32, 32 * 8]),
        ("float32", (16, 49, 1280), [160, 128, 32 * 32]),
        ("float16", (16, 49, 1280), [80, 128, 64 * 32]),
        ("float32", (100, 576, 1024), [128, 384, 32 * 96]),
        ("float32", (7, 1536, 12), [2, 384, 32 * 96]),
        ("float32", (7, 1537, 12), [2, 384, 32 * 103]),
        ("float32", (7, 768, 13), [2, 384, 32 * 96]),
        ("float32", (7, 769, 13), [2, 384, 32 * 103]),
        ("float16", (7, 1152, 24), [2, 384, 64 * 96]),
        ("float16", (7, 1153, 24), [2, 384, 64 * 103]),
        ("float16", (7, 384, 25), [2, 384, 64 * 96]),
        ("float16", (7, 385, 25), [2, 384, 64 * 103]),
    ],
)
def test_launches(element, sizes, expected):
    assert launch_of(element, *sizes) == expected


@given(element=st.sampled_from(sorted(ELEMENTS)), num_frames=st.integers(1, 1500), num_patches=st.integers(1, 4000), width=st.integers(1, 4096))
def test_the_expressions_are_the_launch_of_the_kernels(element, num_frames, num_patches, width):
    try:
        expected = aot_launch(num_frames, num_patches, width, element)
    except OptionsError:  # TensorRT cannot be told of a limit; more than the kernel may ask for is then an error of its launch
        assert launch_of(element, num_frames, num_patches, width)[2] > SHARED_LIMIT
    else:
        assert launch_of(element, num_frames, num_patches, width) == [expected.grid_x, expected.block_x, expected.shared_bytes]


@pytest.fixture
def stand_in(monkeypatch):
    module = aot_stand_in.make_module()
    monkeypatch.setitem(sys.modules, "tensorrt.plugin", module)
    monkeypatch.setitem(sys.modules, "tensorrt", SimpleNamespace(plugin=module))
    return module


@pytest.fixture
def ptx(tmp_path):
    path = tmp_path / "pool.ptx"
    names = [f"redvillm_{weighted}pool_{element}" for weighted in ("", "weighted_") for element in ELEMENTS]
    path.write_text("".join(f".visible .entry {name}(\n)\n" for name in names))
    return path


@pytest.mark.parametrize(("element", "dtype"), [("float32", "FLOAT"), ("float16", "HALF")])
@pytest.mark.parametrize("weighted", [False, True])
def test_what_tensorrt_is_told(stand_in, ptx, element, dtype, weighted):
    tensorrt = TensorRT("tensorrt", "10.9.0", None)
    for _ in range(2):  # a second time changes nothing
        register_aot_plugin(tensorrt, ptx=ptx, weighted=weighted)
    features = stand_in.TensorDesc(map(aot_stand_in.size, "TND"), SimpleNamespace(name=dtype))
    weights = [stand_in.TensorDesc([aot_stand_in.size("T")], SimpleNamespace(name="FLOAT"))] * weighted
    sizes = {"T": 16, "N": 49, "D": 1280}
    outputs = stand_in.registered["redvillm::SpatioTemporalPool"](features, *weights)
    assert [[aot_stand_in.value_of(value, sizes) for value in output.shape_expr] for output in outputs] == [[49, 1280], [16, 1280]]
    assert [output.dtype.name for output in outputs] == [dtype] * 2
    name, text, launch, scalars = stand_in.implemented["redvillm::SpatioTemporalPool"](features, *weights, outputs, 0)
    assert name == f"redvillm_{'weighted_' * weighted}pool_{element}"
    assert text == ptx.read_text()
    assert [aot_stand_in.value_of(value, sizes) for value in scalars] == [16, 49, 1280]
    launched = [aot_stand_in.value_of(value, sizes) for value in (launch.grid_x, launch.block_x, launch.shared_mem)]
    assert launched == launch_of(element, 16, 49, 1280)


def test_other_types_are_refused(stand_in, ptx):
    register_aot_plugin(TensorRT("tensorrt", "10.9.0", None), ptx=ptx)
    with pytest.raises(OptionsError, match="INT8"):
        stand_in.registered["redvillm::SpatioTemporalPool"](stand_in.TensorDesc([1, 2, 3], SimpleNamespace(name="INT8")))


def test_another_ptx_is_refused(stand_in, tmp_path):
    path = tmp_path / "other.ptx"
    tensorrt = TensorRT("tensorrt", "10.9.0", None)
    with pytest.raises(BackendError, match="cannot be read"):
        register_aot_plugin(tensorrt, ptx=path)
    path.write_text(".visible .entry redvillm_pool_float32(\n)")
    with pytest.raises(BackendError, match="no kernel redvillm_pool_float16"):
        register_aot_plugin(tensorrt, ptx=path)
    assert not stand_in.registered


@needs_rtx
def test_tensorrt_for_rtx_says_that_it_has_no_such_plugins(ptx):
    """When this fails, the wheel has learnt them: build an engine with one."""
    with pytest.raises(BackendError, match="no ahead-of-time"):
        register_aot_plugin(load_tensorrt("tensorrt_rtx"), ptx=ptx)


@needs_source
@needs_nvcc
@pytest.mark.parametrize("weighted", [False, True])
def test_the_ptx_has_the_parameters_that_tensorrt_passes(stand_in, tmp_path, weighted):
    path = tmp_path / "aot.ptx"
    subprocess.run(["nvcc", "-ptx", "-std=c++17", "-arch=compute_80", CUDA / "aot.cu", "-o", path], check=True, timeout=120)
    register_aot_plugin(TensorRT("tensorrt", "10.9.0", None), ptx=path, weighted=weighted)
    text = path.read_text()
    for element in ELEMENTS:
        name = f"redvillm_{'weighted_' * weighted}pool_{element}"
        parameters = re.search(rf"\.entry {name}\((.*?)\)", text, re.DOTALL)[1]
        assert re.findall(r"\.param \.(\w+)", parameters) == ["u64"] * (1 + weighted) + ["u32"] * 3 + ["u64"] * 2
    assert ".extern .shared" in text
