"""The architecture of this machine's GPU, asked of the driver. Knows libcuda; does not know TensorRT."""

import ctypes

from redvillm.errors import BackendError

_DRIVER = "libcuda.so.1"
_COMPUTE_CAPABILITY = (75, 76)  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, _MINOR


def gpu_architecture(device: int = 0, driver: ctypes.CDLL | None = None) -> str:
    """Return the architecture of a GPU, for example "SM87" (Orin); `driver` is libcuda where it is loaded already.

    *Not yet run on a device.*

    Raises:
        BackendError: no driver, or no such GPU.
    """
    driver = _load() if driver is None else driver
    handle = ctypes.c_int()
    _require(driver.cuInit(0), "cuInit")
    _require(driver.cuDeviceGet(ctypes.byref(handle), device), f"cuDeviceGet({device})")
    numbers = []
    for attribute in _COMPUTE_CAPABILITY:
        value = ctypes.c_int()
        _require(driver.cuDeviceGetAttribute(ctypes.byref(value), attribute, handle), "cuDeviceGetAttribute")
        numbers.append(value.value)
    return f"SM{numbers[0]}{numbers[1]}"


def _load() -> ctypes.CDLL:
    try:
        return ctypes.CDLL(_DRIVER)
    except OSError as error:
        raise BackendError(
            f"this machine has no NVIDIA driver ({error}); build on the machine that will run the engine, or for RTX GPUs with flavour "
            "'tensorrt_rtx' and architectures, which needs no GPU"
        ) from error


def _require(status: int, call: str) -> None:
    if status:
        raise BackendError(f"the NVIDIA driver answered {call} with error {status}; check the GPU with nvidia-smi (on a Jetson: tegrastats)")
