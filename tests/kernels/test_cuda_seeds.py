"""The checks of the emulator find faults: each is seeded into a copy of the kernels' source, which is then run."""

import ctypes
import subprocess

import pytest
from cuda_cases import SHAPES, check_pool, check_window, features, frame_weights
from cuda_device import CudaDevice
from simt_build import Seed, build_sanitized, build_tracked

from redvillm.errors import BackendError
from redvillm.kernels.cuda_library import CudaLibrary

# those that a few seconds suffice for
SANITIZED_SHAPES = [*(shape for shape in SHAPES if shape[1] < 1000 and shape[0] < 1000), (3, 2311, 3)]
ROW_CHECK = Seed("pool.cuh", "column < width && row < num_patches", "column < width")
SHORT_MEMORY = Seed("launch_plan.h", "(2 * shape.frames *", "(1 * shape.frames *")
POOL_SEEDS = {
    "barrier": (Seed("pool.cuh", "__syncthreads();", ""), "without a barrier|nobody wrote"),
    "one half": (Seed("pool.cuh", "parity ^= 1", "parity ^= 0"), "without a barrier"),
    "divergent barrier": (Seed("pool.cuh", "__syncthreads();", "if (threadIdx.x < 32) __syncthreads();"), "a block diverges"),
    "barrier of the weights": (Seed("reduce.cuh", "    __syncthreads();\n    return sum;", "    return sum;"), "without a barrier"),
    "row check": (ROW_CHECK, "reads outside a buffer"),
    "short memory": (SHORT_MEMORY, "beyond the size of the launch"),
}
WINDOW_SEEDS = {
    "barrier": (Seed("window.cuh", "__syncthreads();", ""), "without a barrier|nobody wrote"),
    "divergent shuffle": (Seed("window.cuh", "= sum_of_warp(squares)", "= lane < 7 ? sum_of_warp(squares) : 0.0f"), "a warp diverges"),
    "row check": (Seed("window.cuh", "row >= push.num_patches", "row > push.num_patches"), "outside a buffer"),
}


@pytest.fixture(scope="module", params=range(len(POOL_SEEDS)), ids=list(POOL_SEEDS))
def seeded(request, tmp_path_factory):
    """A build with a fault in the pooling kernel and, to save a build, one in the window kernel: library, device, and the words of both faults."""
    pool_seed, pool_words = list(POOL_SEEDS.values())[request.param]
    window_seed, window_words = list(WINDOW_SEEDS.values())[request.param % len(WINDOW_SEEDS)]
    library = CudaLibrary(build_tracked(tmp_path_factory.mktemp("seeded"), [pool_seed, window_seed]))
    return library, CudaDevice(ctypes.CDLL(str(library.path))), pool_words, window_words


def test_a_fault_of_the_kernels_is_found(seeded):
    library, device, pool_words, window_words = seeded
    with pytest.raises(BackendError, match=pool_words):
        check_pool(library, device, features((9, 97, 24), "float32"), frame_weights(9))
    with pytest.raises(BackendError, match=window_words):
        check_window(library, device, features((2, 5, 24), "float16"), 2, in_place=False)


def run_sanitized(program, shapes):
    words = [str(word) for shape in shapes for element in (0, 1) for weighted in (0, 1) for word in (element, *shape, weighted)]
    return subprocess.run([program, *words], capture_output=True, text=True, timeout=120, check=False)


def test_the_sanitizers_find_nothing(tmp_path):
    result = run_sanitized(build_sanitized(tmp_path), SANITIZED_SHAPES)
    assert result.returncode == 0, result.stderr


def test_the_sanitizers_find_faults(tmp_path):
    program = build_sanitized(tmp_path, [ROW_CHECK, SHORT_MEMORY])
    rows_that_are_missing = run_sanitized(program, [(3, 97, 16)])  # a thread too many for the rows; its read leaves the buffer
    assert "heap-buffer-overflow" in rows_that_are_missing.stderr
    memory_that_is_missing = run_sanitized(program, [(9, 96, 16)])  # rows fill the warps; shared memory is too small
    assert "use-after-poison" in memory_that_is_missing.stderr
    assert rows_that_are_missing.returncode and memory_that_is_missing.returncode
