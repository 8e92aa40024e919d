"""Features in the memory of other libraries: read where they are, or refused in words."""

import gc

import numpy as np
import pytest

from redvillm.errors import OptionsError
from redvillm.kernels import StreamingPool, frame_energy, spatio_temporal_pool
from redvillm.kernels.arrays import read_features

SIZES = ("T", "N", "D")
X = np.random.default_rng(7).standard_normal((5, 7, 33)).astype(np.float32)


def bits_of(x):
    """The bits of float32 rounded down to bfloat16."""
    return (x.view(np.uint32) >> 16).astype(np.uint16)


def widened(bits):
    return (bits.astype(np.uint32) << 16).view(np.float32)


def torch_tensor(dtype):
    torch = pytest.importorskip("torch")
    return torch.from_numpy(X.copy()).to(getattr(torch, dtype))


def ort_value(dtype):
    onnxruntime = pytest.importorskip("onnxruntime")
    if dtype == "bfloat16":
        return onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(bits_of(X), 16)  # onnx.TensorProto.BFLOAT16
    return onnxruntime.OrtValue.ortvalue_from_numpy(X.astype(dtype))


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("make", [torch_tensor, ort_value])
def test_nothing_is_copied(make, dtype):
    features = make(dtype)
    array = read_features("x", features, SIZES)
    assert array.ctypes.data == features.data_ptr()
    assert array.dtype == {"float32": np.float32, "float16": np.float16, "bfloat16": np.uint16}[dtype]
    assert array.shape == X.shape


# not of an OrtValue made from a numpy array: its memory is that array's, which onnxruntime's own DLPack does not keep
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_memory_of_a_tensor_outlives_it(dtype):
    array = read_features("x", torch_tensor(dtype), SIZES)
    before = array.copy()
    gc.collect()
    _ = [np.full(X.shape, 7, array.dtype) for _ in range(8)]
    assert np.array_equal(array, before)


def test_numpy_arrays_are_read_in_place():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    assert read_features("x", X, SIZES) is X
    narrow = bits_of(X).view(ml_dtypes.bfloat16)
    assert read_features("x", narrow, SIZES).ctypes.data == narrow.ctypes.data


@pytest.mark.parametrize("backend", ["native", "reference"])
@pytest.mark.parametrize("make", [torch_tensor, ort_value])
def test_all_functions_take_bfloat16(make, backend):
    features, wide = make("bfloat16"), widened(bits_of(X))
    if make is torch_tensor:
        wide = features.float().numpy()  # torch rounds to nearest
    for one, other in zip(spatio_temporal_pool(features, backend=backend), spatio_temporal_pool(wide, backend=backend), strict=True):
        assert np.array_equal(one, other)
    assert np.array_equal(frame_energy(features, backend=backend), frame_energy(wide, backend=backend))


@pytest.mark.parametrize("backend", ["native", "reference"])
def test_a_window_takes_bfloat16(backend):
    clip, pools = torch_tensor("bfloat16"), [StreamingPool(3, 7, 33, 2, backend=backend) for _ in range(2)]
    for frame in clip:
        pools[0].push(frame)
        pools[1].push(frame.float().numpy())
    for name in ("temporal_pooling", "spatial_pooling", "motion_energy"):
        assert np.array_equal(getattr(pools[0].pooled(), name), getattr(pools[1].pooled(), name))


class OnAnotherDevice:
    """What a tensor on a GPU says of itself."""

    def __dlpack_device__(self):
        return (2, 0)

    def __dlpack__(self, **_):
        raise AssertionError("the memory of a GPU must not be asked for")


@pytest.mark.parametrize("backend", ["native", "reference"])
def test_a_gpu_is_refused_in_words(backend):
    with pytest.raises(OptionsError, match=r"CUDA device.*\.cpu\(\)"):
        spatio_temporal_pool(OnAnotherDevice(), backend=backend)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x.double(), "bfloat16"),
        (lambda x: x.int(), "bfloat16"),
        (lambda x: x.requires_grad_(), "detach"),
        (lambda x: x.transpose(1, 2), "contiguous"),
        (lambda x: x.bfloat16().transpose(1, 2), "contiguous"),
        (lambda x: x[:, :, ::2], "contiguous"),
        (lambda x: x[0], r"\[T, N, D\]"),
        (lambda x: x.bfloat16()[0], r"\[T, N, D\]"),
        (lambda x: x[:0], "at least 1"),
        (lambda x: x.bfloat16()[:0], "at least 1"),
        (lambda x: x.to("meta"), "cannot be shared"),
        (lambda x: x.to_sparse(), "cannot be shared"),
    ],
)
def test_tensors_that_cannot_be_read_are_refused_in_words(change, message):
    with pytest.raises(OptionsError, match=message):
        spatio_temporal_pool(change(torch_tensor("float32")))


@pytest.mark.parametrize("wrong", [X.astype(np.uint16), X.astype("U3"), X.tolist(), "x", None, memoryview(X)])
def test_what_is_no_feature_array_is_refused_in_words(wrong):
    with pytest.raises(OptionsError, match="wanted"):
        spatio_temporal_pool(wrong)
