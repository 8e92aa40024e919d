"""The stand-in of the NVIDIA driver, compiled, and what it tells. Imported by tests of the runtime on GPUs."""

import ctypes
import subprocess
from pathlib import Path

from simt_build import require_gxx

from redvillm.runtime.cuda_driver import CudaDriver
from redvillm.runtime.device_memory import DeviceMemory

SOURCE = Path(__file__).with_name("fake_cuda.cpp")
_HEADERS = ("/usr/local/cuda/include", "/usr/local/cuda-13.0/include", "/usr/include")


def cuda_headers():
    """Return the folder of cuda.h, or None."""
    return next((folder for folder in _HEADERS if (Path(folder) / "cuda.h").is_file()), None)


def build_driver(path):
    """Compile the stand-in to `path`."""
    headers = cuda_headers()
    include = ["-isystem", headers] if headers else []
    command = [require_gxx(), "-std=c++17", "-O1", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-fPIC", "-shared", *include, SOURCE, "-o", path]
    result = subprocess.run(command, check=False, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


class FakeGpu:
    """A machine with a GPU, as far as the runtime can tell."""

    def __init__(self, path):
        """Load the stand-in at `path`; a copy of the file has a state of its own."""
        self.driver = CudaDriver(path)
        self.library = self.driver.library
        self.library.fake_calls.argtypes = (ctypes.c_char_p,)
        self.library.fake_fail.argtypes = (ctypes.c_char_p, ctypes.c_int)
        self.library.fake_set.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_size_t)

    def memory(self):
        return DeviceMemory(self.driver)

    def calls(self, name):
        return self.library.fake_calls(name.encode())

    def fail(self, name, times=1):
        self.library.fake_fail(name.encode(), times)

    def be(self, *, major=8, minor=7, memory_bytes=1 << 30):
        self.library.fake_set(major, minor, memory_bytes)

    @property
    def num_held(self):
        """What was taken and not given back."""
        return self.library.fake_held()
