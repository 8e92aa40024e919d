"""The CUDA kernels on a device. Run with: make gpu-test, or: pytest -m gpu. Skipped where there is no device or no CUDA build.

What is checked runs in the SIMT emulator too (test_cuda_emulator.py); the times only here.
"""

import ctypes

import numpy as np
import pytest
from cuda_cases import DTYPES, SHAPES, check_half_rounding, check_not_finite, check_pool, check_window, features, frame_weights, pool
from cuda_device import CudaDevice

from redvillm.kernels.cuda_library import CudaWindow, cuda_library_path, load_cuda_library

pytestmark = pytest.mark.gpu
BIG = [(100, 576, 1024), (16, 49, 1280), (100, 1024, 1024), (64, 4096, 1152), (4096, 49, 768), (9, 5000, 2048)]


@pytest.fixture(scope="module")
def library():
    if cuda_library_path() is None:
        pytest.skip("redvillm was installed without CUDA kernels (no nvcc when it was built)")
    return load_cuda_library()


@pytest.fixture
def device(library):
    try:
        device = CudaDevice(ctypes.CDLL("libcuda.so.1"))
    except (OSError, RuntimeError) as error:
        pytest.skip(f"no CUDA device: {error}")
    yield device
    device.close()


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [*SHAPES, *BIG])
def test_pool(library, device, shape, dtype, weighted):
    check_pool(library, device, features(shape, dtype), frame_weights(shape[0]) if weighted else None)


@pytest.mark.parametrize("dtype", DTYPES)
def test_pool_takes_any_address_of_an_element(library, device, dtype):
    for offset in (np.dtype(dtype).itemsize, 8):
        check_pool(library, device, features((4, 49, 64), dtype), offset_bytes=offset)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", BIG[:3])
def test_every_run_gives_the_same_bits(library, device, shape, dtype):
    x, weights = features(shape, dtype), frame_weights(shape[0])
    first = pool(library, device, x, weights)[:2]
    for _ in range(10):
        for one, other in zip(first, pool(library, device, x, weights)[:2], strict=True):
            assert np.array_equal(one, other)


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1, 1), (5, 35), (49, 1280), (576, 1024)])
def test_window(library, device, shape, dtype, in_place):
    check_window(library, device, features((6, *shape), dtype), 3, in_place=in_place)


def test_window_rounds_as_numpy(library, device):
    check_half_rounding(library, device)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 65520.0])
def test_window_tells_what_is_not_finite_and_forgets_it(library, device, bad):
    check_not_finite(library, device, bad)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", BIG)
def test_report_the_bandwidth(library, device, shape, dtype, capsys):
    """Prints the time of a launch and what it moves per second; the second-level cache helps where x fits it."""
    num_frames, num_patches, width = shape
    x = device.upload(np.ones(shape, dtype))
    outputs = [device.upload(np.zeros((size, width), dtype)) for size in (num_patches, num_frames)]

    def launch():
        library.pool(x, np.dtype(dtype).name, shape, None, *outputs, 0)

    device.milliseconds(launch, 3)
    milliseconds = device.milliseconds(launch, 20)
    moved = (num_frames * num_patches + num_frames + num_patches) * width * np.dtype(dtype).itemsize
    assert milliseconds > 0
    with capsys.disabled():
        print(f"\n{device.name}: pool {list(shape)} {np.dtype(dtype).name}: {milliseconds:.4f} ms, {moved / milliseconds / 1e6:.0f} GB/s")


@pytest.mark.parametrize("sizes", [(49, 1280), (576, 1024)])
def test_report_the_time_of_a_push(library, device, sizes, capsys):
    num_patches, width = sizes
    frame, slot, oldest, previous = (device.upload(np.ones(sizes, np.float16)) for _ in range(4))
    sums, temporal = device.upload(np.zeros(sizes, np.int64)), device.upload(np.zeros(sizes, np.float32))
    spatial, energy = device.upload(np.zeros(width, np.float32)), device.upload(np.zeros(num_patches, np.float32))
    window = CudaWindow(slot, sums, spatial, energy, 16, oldest, previous, temporal)

    def launch():
        library.push(frame, "float16", sizes, window, 0)

    device.milliseconds(launch, 3)
    milliseconds = device.milliseconds(launch, 50)
    moved = num_patches * width * (4 * 2 + 2 * 8 + 4)
    assert milliseconds > 0
    with capsys.disabled():
        print(f"\n{device.name}: push {list(sizes)}: {milliseconds:.4f} ms, {moved / milliseconds / 1e6:.0f} GB/s")
