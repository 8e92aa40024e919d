"""The CUDA library as it was installed: it loads without a driver, and says in words what is missing when it is called."""

import os

import numpy as np
import pytest
from ptxas_report import find_nvcc

from redvillm.errors import BackendError, OptionsError
from redvillm.kernels import cuda_aot, cuda_library
from redvillm.kernels.cuda_library import CudaLibrary, CudaWindow, cuda_library_path, load_cuda_library


@pytest.fixture(scope="module")
def library():
    if cuda_library_path() is None:
        if os.environ.get("CI") and find_nvcc():
            pytest.fail("redvillm was installed without CUDA kernels although there is an nvcc")
        pytest.skip("redvillm was installed without CUDA kernels (no nvcc when it was built)")
    return load_cuda_library()


@pytest.fixture
def without_device():
    """Skip where a device would take the made-up addresses of these tests."""
    import ctypes

    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return
    if driver.cuInit(0) == 0:
        pytest.skip("there is a CUDA device; the tests marked gpu are for it")


def test_it_loads_and_refuses_without_a_driver(library):
    with pytest.raises(OptionsError, match="from 1 to 2"):
        library.pool(4096, "float32", (0, 1, 1), None, 4096, 4096, 0)


def test_a_call_without_a_driver_says_so(library, without_device):
    addresses = [array.ctypes.data for array in (np.zeros((2, 3, 8), np.float32), np.zeros((3, 8), np.float32), np.zeros((2, 8), np.float32))]
    with pytest.raises(BackendError, match=r"driver|no CUDA-capable device"):
        library.pool(addresses[0], "float32", (2, 3, 8), None, *addresses[1:], 0)
    window = CudaWindow(slot=4096, sums=4096, spatial=4096, energy=4096, num_frames=1)
    with pytest.raises(BackendError, match=r"driver|no CUDA-capable device"):
        library.push(4096, "float16", (3, 8), window, 0)


def test_every_refusal_has_words(library):
    texts = [library.error_text(status) for status in range(-6, 0)]
    assert len(set(texts)) == len(texts)
    assert "unknown error" not in texts
    assert library.error_text(-99) == "an unknown error"
    assert library.error_text(35)


def test_the_ptx_is_installed_beside_it(library):
    text = cuda_aot.aot_ptx_path().read_text(encoding="utf-8")
    assert ".target sm_80" in text
    for element in ("float32", "float16"):
        for weighted in (False, True):
            assert f".entry {cuda_aot.aot_entry(element, weighted=weighted)}(" in text


def test_a_library_that_is_not_one(tmp_path):
    path = tmp_path / "libredvillm_cuda.so"
    path.write_bytes(b"not a library")
    with pytest.raises(BackendError, match="cannot be loaded"):
        CudaLibrary(path)


def test_an_install_without_cuda_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(cuda_library, "find_spec", lambda _: None)
    monkeypatch.setattr(cuda_aot, "find_spec", lambda _: None)
    with pytest.raises(BackendError, match="REDVILLM_CUDA=ON"):
        load_cuda_library()
    with pytest.raises(BackendError, match="nvcc"):
        cuda_aot.aot_ptx_path()
