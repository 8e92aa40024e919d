"""The CUDA kernels, their launcher, their plan and their ctypes face, run by the SIMT emulator of tests/simt.

The emulator compiles the shipped source. A launch fails if a barrier or a shuffle diverges, if threads race, if shared memory is read before it
is written, or if anything is touched outside its buffer; so every test here is also a test of that. It tells nothing about speed.
"""

import ctypes

import numpy as np
import pytest
from cuda_cases import DTYPES, SHAPES, check_half_rounding, check_not_finite, check_pool, check_window, features, frame_weights, pool, wide_means
from cuda_cases import assert_means as assert_close
from cuda_device import CudaDevice
from simt_build import build_tracked

from redvillm.errors import BackendError, OptionsError
from redvillm.kernels import spatio_temporal_pool
from redvillm.kernels.cuda_aot import aot_entry, aot_launch
from redvillm.kernels.cuda_library import CudaLibrary, CudaWindow

MAX_SHARED_BYTES, WARP = 48 * 1024, 32
SMALL = [shape for shape in SHAPES if np.prod(shape) < 20000]


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return CudaLibrary(build_tracked(tmp_path_factory.mktemp("simt")))


@pytest.fixture(scope="module")
def emulator(library):
    return ctypes.CDLL(str(library.path))


@pytest.fixture
def device(emulator):
    device = CudaDevice(emulator)
    yield device
    device.close()
    emulator.simt_reverse_threads(0)


def touches(emulator, address, num_bytes):
    """Return the lowest and highest number of reads, and of writes, of a byte of a buffer in the last launch."""
    four = (ctypes.c_uint * 4)()
    assert emulator.simt_touches(ctypes.c_void_p(address), ctypes.c_ulonglong(num_bytes), four) == 0
    return tuple(four)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_pool_is_right_and_touches_every_element_once(library, emulator, device, shape, dtype, weighted):
    x = features(shape, dtype)
    addresses = check_pool(library, device, x, frame_weights(shape[0]) if weighted else None)
    assert touches(emulator, addresses[0], x.nbytes) == (1, 1, 0, 0)
    assert touches(emulator, addresses[1], x[0].nbytes) == (0, 0, 1, 1)
    assert touches(emulator, addresses[2], x[:, 0].nbytes) == (0, 0, 1, 1)


@pytest.mark.parametrize("dtype", DTYPES)
def test_pool_agrees_with_the_cpu_kernels(library, device, dtype):
    x, weights = features((5, 97, 24), dtype), frame_weights(5)
    expected = spatio_temporal_pool(x, weights)
    for actual, wanted in zip(pool(library, device, x, weights), expected, strict=False):
        # both add up to 97 numbers of size 1 in float32, in another order; float16 results are rounded once more
        np.testing.assert_allclose(actual, wanted, rtol=0, atol=97 * 2.0**-24 if dtype == np.float32 else 2.0**-11)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(4, 49, 64), (3, 5, 17)])
def test_pool_takes_any_address_of_an_element(library, device, shape, dtype):
    for offset in (np.dtype(dtype).itemsize, 8):
        check_pool(library, device, features(shape, dtype), offset_bytes=offset)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SMALL)
def test_the_order_of_threads_does_not_change_a_bit(library, emulator, device, shape, dtype):
    x, weights = features(shape, dtype), frame_weights(shape[0])
    forwards = pool(library, device, x, weights)[:2]
    emulator.simt_reverse_threads(1)
    for one, other in zip(forwards, pool(library, device, x, weights)[:2], strict=True):
        assert np.array_equal(one, other)


def test_values_that_are_not_finite_spread_as_in_any_sum(library, device):
    x = features((3, 5, 17), np.float32)
    x[1, 2, 3], x[2, 4, 16] = np.nan, np.inf
    temporal, spatial, _ = pool(library, device, x)
    with np.errstate(invalid="ignore"):
        expected = wide_means(x, None)
    assert np.array_equal(np.isfinite(temporal), np.isfinite(expected[0]))
    assert np.array_equal(np.isfinite(spatial), np.isfinite(expected[1]))
    assert np.isnan(temporal[2, 3])
    assert np.isposinf(spatial[2, 16])


def test_weights_that_sum_to_zero_give_nan(library, device):
    x = features((3, 5, 17), np.float32)
    temporal, spatial, _ = pool(library, device, x, np.zeros(3, np.float32))
    assert np.isnan(temporal).all()
    assert_close(spatial, wide_means(x, None)[1], x, 1)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_weights_of_any_magnitude(library, device, scale):
    check_pool(library, device, features((4, 5, 8), np.float32), frame_weights(4) * np.float32(scale))


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1, 1), (5, 35), (49, 64), (131, 12), (3, 200)])
def test_window(library, emulator, device, shape, dtype, in_place):
    frame, window = check_window(library, device, features((6, *shape), dtype), 3, in_place=in_place)
    num_elements = int(np.prod(shape))
    assert touches(emulator, frame, num_elements * np.dtype(dtype).itemsize) == (2, 2, 0, 0)  # once for the rows, once for the columns
    assert touches(emulator, window.sums, num_elements * 8) == (1, 1, 1, 1)
    assert touches(emulator, window.slot, num_elements * 2) == (int(in_place), int(in_place), 1, 1)
    for address, count in ((window.spatial, shape[1]), (window.energy, shape[0]), (window.temporal, num_elements)):
        assert touches(emulator, address, count * 4) == (0, 0, 1, 1)


@pytest.mark.parametrize("dtype", DTYPES)
def test_window_of_one_frame_in_place(library, device, dtype):
    check_window(library, device, features((3, 5, 24), dtype), 1, in_place=True)


@pytest.mark.parametrize("offset", [2, 4, 8])
def test_window_takes_any_address_of_an_element(library, device, offset):
    check_window(library, device, features((4, 5, 24), np.float16), 2, in_place=False, offset_bytes=offset)


def test_window_rounds_as_numpy(library, device):
    check_half_rounding(library, device)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 65520.0])
def test_window_tells_what_is_not_finite_and_forgets_it(library, device, bad):
    check_not_finite(library, device, bad)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES[:-1])
def test_ahead_of_time_entries(emulator, device, shape, dtype, weighted):
    x, weights = features(shape, dtype), frame_weights(shape[0]) if weighted else None
    launch = aot_launch(*shape, x.dtype.name)
    outputs = [device.upload(np.full((size, shape[2]), np.nan, dtype)) for size in (shape[1], shape[0])]
    geometry = (ctypes.c_uint32 * 3)(launch.grid_x, launch.block_x, launch.shared_bytes)
    pointers = [ctypes.c_void_p(address) for address in (device.upload(x), device.upload(weights) if weighted else None, *outputs)]
    sizes = [ctypes.c_int(size) for size in shape]
    status = emulator.simt_aot_pool(geometry, DTYPES.index(dtype), *pointers[:2], *sizes, *pointers[2:])
    assert status == 0
    for axis, (address, size) in enumerate(zip(outputs, (shape[1], shape[0]), strict=True)):
        assert_close(device.download(address, (size, shape[2]), dtype), wide_means(x, weights)[axis], x, axis, weights)


def test_ahead_of_time_names_and_limits():
    assert aot_entry("float16", weighted=True) == "redvillm_weighted_pool_float16"
    assert aot_launch(672, 4096, 1024, "float16").shared_bytes == MAX_SHARED_BYTES
    with pytest.raises(OptionsError, match="at most 672 frames"):
        aot_launch(673, 4096, 1024, "float16")


def test_a_device_times_launches(library, device):
    """What the tests on a device use to time a launch works; here it times the emulator, so only that it counts is checked."""
    launches = []
    assert device.milliseconds(lambda: launches.append(1), 3) >= 0
    assert len(launches) == 3


SIZES = [1, 2, 3, 7, 8, 16, 31, 49, 100, 257, 384, 576, 577, 1024, 1152, 1153, 1536, 2048, 3000, 4095, 4096]


def plans(emulator, element_bytes, is_aligned):
    out = (ctypes.c_int * 7)()
    for num_frames in (1, 5, 16, 100, 700, 1024, 4096):
        for num_patches in SIZES:
            for width in (*SIZES, 8192, 8191):
                has_plan = emulator.simt_plan_pool(
                    *(ctypes.c_int64(size) for size in (num_frames, num_patches, width)), ctypes.c_int(element_bytes), ctypes.c_int(is_aligned), out
                )
                assert has_plan, (num_frames, num_patches, width)
                yield num_frames, num_patches, width, tuple(out)


@pytest.mark.parametrize("is_aligned", [False, True])
@pytest.mark.parametrize("element_bytes", [2, 4])
def test_every_plan_covers_the_clip_within_the_limits(emulator, element_bytes, is_aligned):
    for num_frames, num_patches, width, plan in plans(emulator, element_bytes, is_aligned):
        vector, rows, frames, groups, num_blocks, num_threads, shared_bytes = plan
        slab, case = groups * vector, (num_frames, num_patches, width, plan)
        assert num_threads % WARP == 0 and WARP <= num_threads <= 384, case
        assert groups & (groups - 1) == 0 and slab <= WARP and slab * element_bytes <= 32, case
        assert (num_blocks - 1) * slab < width <= num_blocks * slab, case
        assert vector == 1 or (is_aligned and width % vector == 0), case
        has_chunks = num_threads // groups * rows < num_patches
        assert not has_chunks or num_threads == 384, case
        assert shared_bytes == 4 * slab * (2 * frames * num_threads // WARP + (num_frames if has_chunks else 0)) <= MAX_SHARED_BYTES, case


def test_the_plan_of_the_sizes_that_matter(emulator):
    """Vectors, full sectors and blocks enough, for the default model and for the paper's."""
    out = (ctypes.c_int * 7)()
    for (num_frames, num_patches, width), element_bytes, wanted in [
        ((16, 49, 1280), 2, (8, 1, 4, 2, 80, 128)),
        ((100, 576, 1024), 2, (8, 4, 1, 2, 64, 288)),
        ((100, 576, 1024), 4, (4, 4, 1, 2, 128, 288)),
        ((100, 1024, 1024), 2, (8, 6, 1, 2, 64, 352)),
    ]:
        sizes = [ctypes.c_int64(size) for size in (num_frames, num_patches, width)]
        assert emulator.simt_plan_pool(*sizes, ctypes.c_int(element_bytes), ctypes.c_int(1), out)
        assert tuple(out)[:6] == wanted


@pytest.mark.parametrize(("num_frames", "num_patches", "fits"), [(1 << 30, 6144, 1), (12264, 6145, 1), (12265, 6145, 0), (12265, 6144, 1)])
def test_the_capacity_that_the_header_states(emulator, num_frames, num_patches, fits):
    out = (ctypes.c_int * 7)()
    for element_bytes in (2, 4):
        sizes = [ctypes.c_int64(size) for size in (num_frames, num_patches, 8)]
        assert emulator.simt_plan_pool(*sizes, ctypes.c_int(element_bytes), ctypes.c_int(1), out) == fits


def test_the_push_plan_covers_the_frame(emulator):
    out = (ctypes.c_int * 5)()
    for num_patches in SIZES:
        for width in SIZES:
            emulator.simt_plan_push(ctypes.c_int64(num_patches), ctypes.c_int64(width), out)
            row_blocks, num_blocks, num_threads, slab, shared_bytes = out
            assert (row_blocks - 1) * num_threads // WARP < num_patches <= row_blocks * num_threads // WARP
            assert (num_blocks - row_blocks - 1) * slab < width <= (num_blocks - row_blocks) * slab
            assert shared_bytes == num_threads // WARP * slab * 4


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"x": None}, "null"),
        ({"temporal": None}, "null"),
        ({"spatial": 0}, "null"),
        ({"element": "int8"}, "legal values are float32, float16"),
        ({"sizes": (0, 1, 8)}, "size"),
        ({"sizes": (1, -1, 8)}, "size"),
        ({"sizes": (1, 1, 0)}, "size"),
        ({"sizes": (1, 1 << 16, 1 << 16)}, "size"),
        ({"sizes": ((1 << 30) + 1, 1, 1)}, "size"),
        ({"sizes": (20000, 20000, 1)}, "6144 patches"),
        ({"x": 4098}, "multiple"),
        ({"weights": 4098}, "multiple"),
    ],
)
def test_pool_refuses(library, changes, words):
    given = {"x": 4096, "element": "float32", "sizes": (1, 1, 8), "weights": None, "temporal": 8192, "spatial": 8192, **changes}
    with pytest.raises(OptionsError, match=words):
        library.pool(given["x"], given["element"], given["sizes"], given["weights"], given["temporal"], given["spatial"], 0)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"slot": 0}, "null"),
        ({"sums": 0}, "null"),
        ({"energy": 0}, "null"),
        ({"spatial": 0}, "null"),
        ({"num_frames": 0}, "from 1 to 8192"),
        ({"num_frames": 8193}, "from 1 to 8192"),
        ({"sums": 4100}, "multiple"),
        ({"oldest": 4097}, "multiple"),
    ],
)
def test_push_refuses(library, changes, words):
    window = CudaWindow(**{"slot": 4096, "sums": 4096, "spatial": 4096, "energy": 4096, "num_frames": 1, **changes})
    with pytest.raises(OptionsError, match=words):
        library.push(4096, "float16", (1, 8), window, 0)


def test_a_failed_launch_is_told_in_words(library, emulator, device):
    """Pooling past the end of a buffer: the emulator's words come back as the library's error."""
    x = device.upload(np.zeros((2, 3, 8), np.float32))
    outputs = [device.upload(np.zeros((3, 8), np.float32)) for _ in range(2)]
    with pytest.raises(BackendError, match="outside a buffer"):
        library.pool(x, "float32", (3, 3, 8), None, *outputs, 0)
