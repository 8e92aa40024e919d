"""Memory of a GPU for one owner: buffers, page-locked memory of the host, copies on a stream of its own, and CUDA graphs.

Works in the device's primary context, which is also that of ONNX Runtime and TensorRT. Knows bytes and addresses; does not know tensors or engines.
*Not yet run on a device.*
"""

import ctypes
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from redvillm.errors import BackendError
from redvillm.kernels.tensorrt_device import gpu_architecture
from redvillm.runtime.cuda_driver import MEMORY_OF_DEVICE, OUT_OF_MEMORY, Copy2D, CudaDriver

Bytes = npt.NDArray[np.uint8]
_NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING: no waiting for the default stream, which a capture would not survive
_THREAD_LOCAL = 1  # CU_STREAM_CAPTURE_MODE_THREAD_LOCAL: what other threads do meanwhile, as a decoder's, does not end the capture


class CapturedGraph:
    """A CUDA graph: what was put on the stream while it was captured, to be launched again as a whole."""

    def __init__(self, driver: CudaDriver, graph: ctypes.c_void_p, stream: ctypes.c_void_p) -> None:
        self._driver, self._stream = driver, stream
        self._executable = ctypes.c_void_p()
        try:
            driver.call("cuGraphInstantiateWithFlags", ctypes.byref(self._executable), graph, 0)
        finally:
            driver.call("cuGraphDestroy", graph)
        self._closer = weakref.finalize(self, driver.status, "cuGraphExecDestroy", self._executable)

    def launch(self) -> None:
        """Put all of it on the stream.

        Raises:
            BackendError: the driver refused.
        """
        self._driver.call("cuGraphLaunch", self._executable, self._stream)

    def close(self) -> None:
        """Free it; nothing of it may be running. Harmless when repeated, and done when the object is dropped."""
        self._closer()


@dataclass(frozen=True)
class _Held:
    """What has to be given back."""

    device: ctypes.c_int = field(default_factory=ctypes.c_int)
    context: ctypes.c_void_p = field(default_factory=ctypes.c_void_p)
    stream: ctypes.c_void_p = field(default_factory=ctypes.c_void_p)
    buffers: list[int] = field(default_factory=list)
    host_buffers: list[int] = field(default_factory=list)


class DeviceMemory:
    """Buffers and a stream on one GPU; all of it is freed when the object is dropped or closed. One thread at a time, any thread after `activate`."""

    def __init__(self, driver: CudaDriver | None = None, device: int = 0) -> None:
        """Take hold of a GPU.

        Raises:
            BackendError: no driver, or no such GPU.
        """
        self._driver = CudaDriver() if driver is None else driver
        self._held = held = _Held()
        self._driver.call("cuDeviceGet", ctypes.byref(held.device), device)
        self._driver.call("cuDevicePrimaryCtxRetain", ctypes.byref(held.context), held.device)
        self._closer = weakref.finalize(self, _release, self._driver, held)
        self.activate()
        self._driver.call("cuStreamCreate", ctypes.byref(held.stream), _NON_BLOCKING)
        self.architecture = gpu_architecture(device, self._driver.library)  # for example "SM87"

    @property
    def stream(self) -> int:
        """The stream, as a number that TensorRT takes."""
        return self._held.stream.value or 0

    def activate(self) -> None:
        """Make the GPU current in the calling thread; needed before anything else there."""
        self._driver.call("cuCtxSetCurrent", self._held.context)

    def allocate(self, num_bytes: int) -> int:
        """Return the address of a new buffer filled with zeros, aligned to 256 bytes.

        Raises:
            BackendError: the GPU has not that much memory left.
        """
        address = ctypes.c_uint64()
        status = self._driver.status("cuMemAlloc_v2", ctypes.byref(address), max(num_bytes, 1))
        if status:
            raise BackendError(self._refusal(status, num_bytes, "the GPU"))
        self._held.buffers.append(address.value)
        self._driver.call("cuMemsetD8Async", address.value, 0, max(num_bytes, 1), self._held.stream)
        self.synchronize()
        return address.value

    def allocate_host(self, num_bytes: int) -> Bytes:
        """Return page-locked memory of the host, uint8 [num_bytes]; it lives as long as this object.

        Raises:
            BackendError: the host has not that much to lock.
        """
        address = ctypes.c_void_p()
        status = self._driver.status("cuMemAllocHost_v2", ctypes.byref(address), max(num_bytes, 1))
        if status or not address.value:
            raise BackendError(self._refusal(status, num_bytes, "the host, page-locked"))
        self._held.host_buffers.append(address.value)
        return np.ctypeslib.as_array((ctypes.c_uint8 * num_bytes).from_address(address.value))

    def upload(self, address: int, source: npt.NDArray[Any]) -> None:
        """Begin to copy a contiguous array to the GPU; `synchronize` before the array changes."""
        self._driver.call("cuMemcpyHtoDAsync_v2", address, source.ctypes.data, source.nbytes, self._held.stream)

    def download(self, target: npt.NDArray[Any], address: int) -> None:
        """Begin to copy to a contiguous array; it is there after `synchronize`."""
        self._driver.call("cuMemcpyDtoHAsync_v2", target.ctypes.data, address, target.nbytes, self._held.stream)

    def copy_rows(self, target: int, source: int, *, num_rows: int, num_bytes: int, target_pitch_bytes: int, source_pitch_bytes: int) -> None:
        """Begin to copy within the GPU: `num_rows` rows of `num_bytes`, which begin a pitch after one another."""
        copy = Copy2D(
            srcMemoryType=MEMORY_OF_DEVICE,
            srcDevice=source,
            srcPitch=source_pitch_bytes,
            dstMemoryType=MEMORY_OF_DEVICE,
            dstDevice=target,
            dstPitch=target_pitch_bytes,
            WidthInBytes=num_bytes,
            Height=num_rows,
        )
        self._driver.call("cuMemcpy2DAsync_v2", ctypes.byref(copy), self._held.stream)

    def synchronize(self) -> None:
        """Wait until everything on the stream is done.

        Raises:
            BackendError: something of it failed on the GPU.
        """
        self._driver.call("cuStreamSynchronize", self._held.stream)

    def capture(self, enqueue: Callable[[], None]) -> CapturedGraph:
        """Return what `enqueue` puts on the stream as a graph; none of it runs.

        Raises:
            BackendError: the driver cannot capture it, or what `enqueue` raised. The stream can be used as before.
        """
        graph = ctypes.c_void_p()
        self._driver.call("cuStreamBeginCapture_v2", self._held.stream, _THREAD_LOCAL)
        try:
            enqueue()
        except BaseException:
            if not self._driver.status("cuStreamEndCapture", self._held.stream, ctypes.byref(graph)) and graph.value:
                self._driver.status("cuGraphDestroy", graph)
            raise
        self._driver.call("cuStreamEndCapture", self._held.stream, ctypes.byref(graph))
        return CapturedGraph(self._driver, graph, self._held.stream)

    def close(self) -> None:
        """Free everything; harmless when repeated."""
        self._closer()

    def _refusal(self, status: int, num_bytes: int, where: str) -> str:
        wanted = f"{num_bytes / 1e6:.1f} MB of memory of {where} were refused with {self._driver.words(status)}"
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        if status == OUT_OF_MEMORY and not self._driver.status("cuMemGetInfo_v2", ctypes.byref(free), ctypes.byref(total)):
            wanted += f", {free.value / 1e6:.0f} of the GPU's {total.value / 1e6:.0f} MB are free"
        return f"{wanted}; close other programs on this GPU, or use a shorter context or an engine for fewer frames"


def _release(driver: CudaDriver, held: _Held) -> None:
    """Free all; errors are not told, for nobody could do anything about them."""
    driver.status("cuCtxSetCurrent", held.context)
    if held.stream.value:
        driver.status("cuStreamSynchronize", held.stream)
        driver.status("cuStreamDestroy_v2", held.stream)
    for address in held.buffers:
        driver.status("cuMemFree_v2", address)
    for address in held.host_buffers:
        driver.status("cuMemFreeHost", address)
    driver.status("cuDevicePrimaryCtxRelease_v2", held.device)
