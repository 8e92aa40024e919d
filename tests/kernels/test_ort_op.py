"""The op redvillm::SpatioTemporalPool in ONNX Runtime, on the CPU: against numpy in float64, and bit by bit against the native kernels."""

import ctypes
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from ort_op import open_with_op, require_library
from pooling_graph import ELEMENTS, pooling_graph

from redvillm import kernels
from redvillm.errors import BackendError
from redvillm.kernels import ort_library

onnxruntime = pytest.importorskip("onnxruntime")

SHAPES = [(1, 1, 1), (1, 7, 3), (2, 1, 5), (3, 5, 16), (5, 7, 17), (7, 13, 31), (16, 49, 64), (17, 3, 129), (4, 33, 2051)]
DTYPES = ["float32", "float16"]


def random_clip(shape, dtype):
    random = np.random.default_rng(sum(shape))
    return random.normal(0.3, 2.0, shape).astype(dtype), random.uniform(0, 3, shape[0]).astype(np.float32) + np.float32(0.01)


def run(session, x, weights=None):
    return session.run(None, {"features": x} if weights is None else {"features": x, "weights": weights})


def pool_in_float64(x, weights=None):
    shares = np.full(len(x), 1 / len(x)) if weights is None else weights.astype(np.float64) / weights.astype(np.float64).sum()
    wide = x.astype(np.float64)
    return np.einsum("t,tnd->nd", shares, wide), wide.mean(1)


@pytest.fixture(scope="module")
def sessions():
    """Sessions by (dtype, weighted): the same four for every shape, since T, N and D are dynamic."""
    return {(dtype, weighted): open_with_op(pooling_graph(dtype, weighted=weighted)) for dtype in DTYPES for weighted in (False, True)}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_it_computes_both_means(sessions, shape, dtype, weighted):
    x, weights = random_clip(shape, dtype)
    weights = weights if weighted else None
    results = run(sessions[dtype, weighted], x, weights)
    # float32 sums of at most 49 numbers around 6: 1e-5; a float16 result is rounded once more, by half of its last place
    for result, expected in zip(results, pool_in_float64(x, weights), strict=True):
        assert result.dtype == dtype
        assert result.shape == expected.shape
        np.testing.assert_allclose(result, expected, rtol=2**-11 if dtype == "float16" else 0, atol=1e-5)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(5, 7, 17), (16, 49, 64), (4, 33, 2051)])
def test_its_bits_are_those_of_the_native_kernels(sessions, shape, dtype, weighted):
    x, weights = random_clip(shape, dtype)
    weights = weights if weighted else None
    for result, expected in zip(run(sessions[dtype, weighted], x, weights), kernels.spatio_temporal_pool(x, weights), strict=True):
        np.testing.assert_array_equal(result, expected.astype(dtype))


def test_float16_results_are_rounded_to_nearest_even(sessions):
    """Every float16 and its upper neighbour: their mean is a tie, which numpy rounds in its own way."""
    lower = np.arange(0x7BFF, dtype=np.uint16).view(np.float16)
    pair = np.stack([lower, np.nextafter(lower, np.float16(np.inf))])[:, None, :]
    for x in (pair, -pair):
        temporal, _ = run(sessions["float16", False], x)
        np.testing.assert_array_equal(temporal, x.mean(0, dtype=np.float32).astype(np.float16))


def test_bfloat16_where_the_kernels_have_it():
    session = open_with_op(pooling_graph("bfloat16"))
    wide = random_clip((9, 61, 1031), "float32")[0].view(np.uint32) & np.uint32(0xFFFF0000)
    features = onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type((wide >> 16).astype(np.uint16), ELEMENTS["bfloat16"])
    try:
        results = session.run_with_ort_values(None, {"features": features})
    except Exception as error:
        if "float32 (1) and float16 (10) are legal" not in str(error):
            raise
        pytest.skip("the CPU kernels have no bfloat16")
    for result, expected in zip(results, kernels.spatio_temporal_pool(wide.view(np.float32)), strict=True):
        bits = np.ctypeslib.as_array(ctypes.cast(result.data_ptr(), ctypes.POINTER(ctypes.c_uint16)), expected.shape)
        rounded = (bits.astype(np.uint32) << 16).view(np.float32)
        np.testing.assert_allclose(rounded, expected, rtol=2**-8, atol=1e-30)  # half of the last of 8 bits


def test_float16_is_accumulated_in_float32(sessions):
    x = np.full((40, 30, 5), 60000, np.float16)  # the sum of two of them is beyond float16
    for result in run(sessions["float16", False], x):
        assert (result == 60000).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_a_long_clip_gives_the_same_bits_on_any_number_of_threads(dtype, threads):
    x, weights = random_clip((23, 101, 1031), dtype)
    for given in (None, weights):
        session = open_with_op(pooling_graph(dtype, weighted=given is not None), threads=threads)
        expected = kernels.spatio_temporal_pool(x, given)
        for _ in range(6):  # the parts change while the kernel learns how many threads there are
            for result, one in zip(run(session, x, given), expected, strict=True):
                np.testing.assert_array_equal(result, one.astype(dtype))


def test_one_session_serves_several_threads(sessions):
    clips = [random_clip((2 + index % 5, 11, 300 + index), "float16") for index in range(24)]
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda clip: run(sessions["float16", True], *clip), clips))
    for (x, weights), result in zip(clips, results, strict=True):
        for one, expected in zip(result, kernels.spatio_temporal_pool(x, weights), strict=True):
            np.testing.assert_array_equal(one, expected.astype(np.float16))


def test_long_clips_in_several_threads_of_one_session():
    session = open_with_op(pooling_graph(), threads=2)
    clips = [random_clip((9, 61, 1031 + index), "float32")[0] for index in range(6)]
    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(lambda x: run(session, x), clips))
    for x, result in zip(clips, results, strict=True):
        for one, expected in zip(result, kernels.spatio_temporal_pool(x), strict=True):
            np.testing.assert_array_equal(one, expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_values_that_are_not_finite_spread_as_in_any_sum(sessions, dtype):
    x = np.ones((3, 4, 5), dtype)
    x[1, 2, 3], x[0, 0, 0] = np.nan, -np.inf
    temporal, spatial = run(sessions[dtype, False], x)
    assert np.isnan(temporal[2, 3])
    assert np.isnan(spatial[1, 3])
    assert temporal[0, 0] == spatial[0, 0] == -np.inf
    assert np.isfinite(temporal).sum() == temporal.size - 2
    assert np.isfinite(spatial).sum() == spatial.size - 2


def test_a_frame_of_weight_zero_adds_nothing_and_only_ratios_count(sessions):
    x, _ = random_clip((4, 3, 5), "float32")
    temporal, _ = run(sessions["float32", True], x, np.array([0, 1e30, 0, 3e30], np.float32))
    np.testing.assert_allclose(temporal, 0.25 * x[1] + 0.75 * x[3], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("shape", [("T", "N", "D"), (3, "N", 5), (3, 4, 5), None])
def test_shapes_are_inferred(shape):
    session = open_with_op(pooling_graph("float16", shape=shape))
    temporal, spatial = session.get_outputs()
    assert temporal.type == spatial.type == "tensor(float16)"
    if shape is not None:
        assert (temporal.shape, spatial.shape) == ([shape[1], shape[2]], [shape[0], shape[2]])
    else:  # three different unknown sizes
        assert temporal.shape[1] == spatial.shape[1]
        assert len({*temporal.shape, *spatial.shape}) == 3
    assert [result.shape for result in run(session, np.ones((3, 4, 5), np.float16))] == [(4, 5), (3, 5)]


@pytest.mark.parametrize(
    ("features", "words"),
    [
        (np.ones((2, 3), np.float32), r"shape \[2, 3\], \[T, N, D\] is wanted"),
        (np.ones((1, 2, 3, 4), np.float32), r"shape \[1, 2, 3, 4\]"),
        (np.ones((), np.float32), r"shape \[\]"),
        (np.ones((0, 3, 4), np.float32), r"shape \[0, 3, 4\].*at least 1"),
        (np.ones((2, 0, 4), np.float32), "shape .* at least 1"),
        (np.ones((2, 3, 0), np.float32), "shape .* at least 1"),
    ],
)
def test_wrong_features_are_refused_in_words(features, words):
    session = open_with_op(pooling_graph(shape=None))
    with pytest.raises(Exception, match=f"redvillm::SpatioTemporalPool: features have the {words}"):
        run(session, features)
    assert (run(session, np.ones((2, 3, 4), np.float32))[0] == 1).all()  # and the session goes on


def test_another_element_type_is_refused_in_words():
    with pytest.raises(Exception, match=r"redvillm::SpatioTemporalPool: features have the ONNX element type 11, float32 .* float16 .* legal"):
        run(open_with_op(pooling_graph("float64")), np.ones((2, 3, 4)))


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ([1.0], r"shape \[1\], one weight per frame is wanted: \[2\]"),
        ([1.0, 2.0, 3.0], r"shape \[3\]"),
        ([], r"shape \[0\]"),
        ([1.0, -1.0], "weight 1 is -1.0"),
        ([np.nan, 1.0], "weight 0 is nan"),
        ([1.0, np.inf], "weight 1 is inf"),
        ([0.0, 0.0], "all weights are zero"),
    ],
)
@pytest.mark.parametrize("dtype", DTYPES)
def test_illegal_weights_are_refused_in_words(sessions, dtype, weights, words):
    with pytest.raises(Exception, match=f"redvillm::SpatioTemporalPool: .*{words}"):
        run(sessions[dtype, True], np.ones((2, 3, 4), dtype), np.array(weights, np.float32))


def test_every_call_is_counted(sessions):
    before = ort_library.ort_library_calls("cpu")
    for _ in range(3):
        run(sessions["float32", False], np.ones((2, 3, 4), np.float32))
    assert ort_library.ort_library_calls("cpu") == before + 3
    if "cuda" not in ort_library.ort_library_providers():
        with pytest.raises(BackendError, match="without a kernel for cuda"):
            ort_library.ort_library_calls("cuda")


def test_the_counter_outlives_the_sessions():
    require_library()
    before = ort_library.ort_library_calls()
    for _ in range(20):
        run(open_with_op(pooling_graph()), np.ones((2, 3, 4), np.float32))
    assert ort_library.ort_library_calls() == before + 20


def test_the_library_tells_its_api_version():
    require_library()
    runtime_version = int(onnxruntime.__version__.split(".")[1])
    assert 17 <= ort_library.ort_library_api_version() <= min(22, runtime_version)


def test_without_the_op_the_node_is_an_error_and_not_ignored():
    with pytest.raises(Exception, match="SpatioTemporalPool"):
        onnxruntime.InferenceSession(pooling_graph(), providers=["CPUExecutionProvider"])


def test_a_library_that_is_absent_or_broken_is_told_in_words(monkeypatch, tmp_path):
    monkeypatch.setattr(ort_library, "ort_library_path", lambda: None)
    for ask in (ort_library.ort_library_calls, ort_library.ort_library_providers, ort_library.ort_library_api_version):
        with pytest.raises(BackendError, match=r"built without libredvillm_ort\.so"):
            ask()
    (tmp_path / "broken.so").write_bytes(b"no library")
    monkeypatch.setattr(ort_library, "ort_library_path", lambda: tmp_path / "broken.so")
    with pytest.raises(BackendError, match=r"broken\.so cannot be loaded"):
        ort_library.ort_library_calls()
