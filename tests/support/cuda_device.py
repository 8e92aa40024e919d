"""Memory and events of a CUDA device through its driver, for tests: nothing but libcuda.so.1 and ctypes, no toolkit and no framework.

The SIMT emulator offers the same functions over the processor's memory, so what runs on a device runs there too.
"""

import ctypes
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.generic]


class CudaDevice:
    """The first device. Arrays go up and down by value; `close` frees everything."""

    def __init__(self, driver: ctypes.CDLL) -> None:
        self._driver = driver
        self._addresses: list[int] = []
        self._call("cuInit", ctypes.c_uint(0))
        device, context = ctypes.c_int(), ctypes.c_void_p()
        self._call("cuDeviceGet", ctypes.byref(device), ctypes.c_int(0))
        self._call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
        self._call("cuCtxSetCurrent", context)
        name = ctypes.create_string_buffer(100)
        self._call("cuDeviceGetName", name, ctypes.c_int(len(name)), device)
        self.name = name.value.decode()

    def upload(self, array: Array, offset_bytes: int = 0) -> int:
        """Copy an array to the device; return its address, `offset_bytes` after a multiple of 256."""
        data = np.ascontiguousarray(array)
        address = self._allocate(data.nbytes + offset_bytes) + offset_bytes
        self._call("cuMemcpyHtoD_v2", ctypes.c_uint64(address), ctypes.c_void_p(data.ctypes.data), ctypes.c_size_t(data.nbytes))
        return address

    def download(self, address: int, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Array:
        """Wait for the device and return a copy of an array."""
        array = np.empty(shape, dtype)
        self._call("cuCtxSynchronize")
        self._call("cuMemcpyDtoH_v2", ctypes.c_void_p(array.ctypes.data), ctypes.c_uint64(address), ctypes.c_size_t(array.nbytes))
        return array

    def milliseconds(self, launch: Callable[[], None], repeats: int) -> float:
        """Return the time of one launch on the default stream, the mean of `repeats`."""
        events = [ctypes.c_void_p(), ctypes.c_void_p()]
        for event in events:
            self._call("cuEventCreate", ctypes.byref(event), ctypes.c_uint(0))
        self._call("cuEventRecord", events[0], None)
        for _ in range(repeats):
            launch()
        self._call("cuEventRecord", events[1], None)
        self._call("cuEventSynchronize", events[1])
        elapsed = ctypes.c_float()
        self._call("cuEventElapsedTime", ctypes.byref(elapsed), *events)
        for event in events:
            self._call("cuEventDestroy_v2", event)
        return elapsed.value / repeats

    def close(self) -> None:
        """Free all memory of this object."""
        for address in self._addresses:
            self._call("cuMemFree_v2", ctypes.c_uint64(address))
        self._addresses.clear()

    def _allocate(self, num_bytes: int) -> int:
        address = ctypes.c_uint64()
        self._call("cuMemAlloc_v2", ctypes.byref(address), ctypes.c_size_t(num_bytes))
        self._addresses.append(address.value)
        return address.value

    def _call(self, function: str, *arguments: object) -> None:
        status = getattr(self._driver, function)(*arguments)
        if status:
            raise RuntimeError(f"{function} returned {status}")
