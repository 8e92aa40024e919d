"""The NVIDIA driver, libcuda.so.1, through ctypes: the few functions that the runtime needs, with their types, and errors in words.

Names and types: https://docs.nvidia.com/cuda/cuda-driver-api. The names end as cuda.h maps them (`_v2`). Knows calls; does not know what memory is
for. *Not yet run on a device.*
"""

import ctypes
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from redvillm.errors import BackendError

DRIVER_LIBRARY = "libcuda.so.1"
OUT_OF_MEMORY = 2  # CUDA_ERROR_OUT_OF_MEMORY
MEMORY_OF_DEVICE = 2  # CU_MEMORYTYPE_DEVICE

_INT, _UINT, _SIZE, _ADDRESS, _FLAGS = ctypes.c_int, ctypes.c_uint, ctypes.c_size_t, ctypes.c_uint64, ctypes.c_ulonglong
_POINTER = ctypes.c_void_p  # handles, and whatever is written to or read from host memory


class Copy2D(ctypes.Structure):
    """CUDA_MEMCPY2D: `Height` rows of `WidthInBytes`, a pitch apart."""

    _fields_ = (
        ("srcXInBytes", _SIZE),
        ("srcY", _SIZE),
        ("srcMemoryType", _INT),
        ("srcHost", _POINTER),
        ("srcDevice", _ADDRESS),
        ("srcArray", _POINTER),
        ("srcPitch", _SIZE),
        ("dstXInBytes", _SIZE),
        ("dstY", _SIZE),
        ("dstMemoryType", _INT),
        ("dstHost", _POINTER),
        ("dstDevice", _ADDRESS),
        ("dstArray", _POINTER),
        ("dstPitch", _SIZE),
        ("WidthInBytes", _SIZE),
        ("Height", _SIZE),
    )


SIGNATURES: Mapping[str, tuple[Any, ...]] = MappingProxyType(
    {
        "cuInit": (_UINT,),
        "cuDeviceGet": (_POINTER, _INT),
        "cuDeviceGetAttribute": (_POINTER, _INT, _INT),
        "cuDevicePrimaryCtxRetain": (_POINTER, _INT),
        "cuDevicePrimaryCtxRelease_v2": (_INT,),
        "cuCtxSetCurrent": (_POINTER,),
        "cuMemGetInfo_v2": (_POINTER, _POINTER),
        "cuMemAlloc_v2": (_POINTER, _SIZE),
        "cuMemFree_v2": (_ADDRESS,),
        "cuMemAllocHost_v2": (_POINTER, _SIZE),
        "cuMemFreeHost": (_POINTER,),
        "cuMemcpyHtoDAsync_v2": (_ADDRESS, _POINTER, _SIZE, _POINTER),
        "cuMemcpyDtoHAsync_v2": (_POINTER, _ADDRESS, _SIZE, _POINTER),
        "cuMemcpy2DAsync_v2": (_POINTER, _POINTER),
        "cuMemsetD8Async": (_ADDRESS, ctypes.c_ubyte, _SIZE, _POINTER),
        "cuStreamCreate": (_POINTER, _UINT),
        "cuStreamSynchronize": (_POINTER,),
        "cuStreamDestroy_v2": (_POINTER,),
        "cuStreamBeginCapture_v2": (_POINTER, _INT),
        "cuStreamEndCapture": (_POINTER, _POINTER),
        "cuGraphInstantiateWithFlags": (_POINTER, _POINTER, _FLAGS),
        "cuGraphLaunch": (_POINTER, _POINTER),
        "cuGraphDestroy": (_POINTER,),
        "cuGraphExecDestroy": (_POINTER,),
        "cuGetErrorName": (_INT, _POINTER),
        "cuGetErrorString": (_INT, _POINTER),
    }
)


class CudaDriver:
    """The driver of this machine, initialized. Any thread may call it."""

    def __init__(self, library: str | Path = DRIVER_LIBRARY) -> None:
        """Load the driver.

        Raises:
            BackendError: this machine has none, it is older than CUDA 11.4, or it finds no GPU.
        """
        try:
            self.library = ctypes.CDLL(str(library))
        except OSError as error:
            raise BackendError(f"this machine has no NVIDIA driver ({error}); install it, or use a bundle of target cpu") from error
        self._functions = {}
        for name, types in SIGNATURES.items():
            function = getattr(self.library, name, None)
            if function is None:
                raise BackendError(f"the NVIDIA driver has no {name}; update it to one of CUDA 11.4 or newer")
            function.argtypes, function.restype = types, _INT
            self._functions[name] = function
        self.call("cuInit", 0)

    def call(self, name: str, *arguments: Any) -> None:
        """Call a function of SIGNATURES.

        Raises:
            BackendError: it answered with an error; the message says which.
        """
        status = self._functions[name](*arguments)
        if status:
            raise BackendError(
                f"the NVIDIA driver answered {name} with {self.words(status)}; check the GPU with nvidia-smi (on a Jetson: tegrastats)"
            )

    def status(self, name: str, *arguments: Any) -> int:
        """Call a function of SIGNATURES and return what it answered: 0, or the number of an error."""
        return int(self._functions[name](*arguments))

    def words(self, status: int) -> str:
        """Return the driver's own words for an error, for example "CUDA_ERROR_OUT_OF_MEMORY (out of memory)"."""
        texts = []
        for name in ("cuGetErrorName", "cuGetErrorString"):
            text = ctypes.c_char_p()
            if self._functions[name](status, ctypes.byref(text)) or text.value is None:
                return f"error {status}"
            texts.append(text.value.decode(errors="replace"))
        return f"{texts[0]} ({texts[1]})"
