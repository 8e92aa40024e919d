"""The CUDA kernels, called through the C functions of libredvillm_cuda.so: addresses in, one launch on a stream.

Knows addresses and sizes; does not know who owns the memory, what framework it belongs to or when a stream is done. The library is
found without a driver and without a device; a launch needs both.
"""

import ctypes
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, get_args

from redvillm.errors import BackendError, OptionsError

CudaElement = Literal["float32", "float16"]
LIBRARY_NAME = "libredvillm_cuda.so"
ABI_VERSION = 1


@dataclass(frozen=True)
class CudaWindow:
    """Device addresses of a live window's buffers; None where the C struct RedvillmCudaWindow may have null.

    See kernels/csrc/cuda/launcher.h for what a push does with each. `sums` start as zeros.
    """

    slot: int  # float16 [N, D], receives the frame; may be `oldest`
    sums: int  # int64 [N, D], in units of 2^-24
    spatial: int  # float32 [D], receives the frame's mean over N: finite exactly if the frame is, as float16
    energy: int  # float32 [N], receives the frame energy against `previous`, zeros without one
    num_frames: int  # in the window after the push, 1 to 8192
    oldest: int | None = None  # float16 [N, D], the frame that leaves; None while the window fills
    previous: int | None = None  # float16 [N, D], the frame before; None at the first
    temporal: int | None = None  # float32 [N, D], receives the temporal pooling of the window; None: not wanted


class _WindowStruct(ctypes.Structure):
    _fields_ = (
        ("slot", ctypes.c_void_p),
        ("oldest", ctypes.c_void_p),
        ("previous", ctypes.c_void_p),
        ("sums", ctypes.c_void_p),
        ("temporal", ctypes.c_void_p),
        ("spatial", ctypes.c_void_p),
        ("energy", ctypes.c_void_p),
        ("num_frames", ctypes.c_int64),
    )


class CudaLibrary:
    """The functions of one loaded library. Nothing here waits for a stream, allocates, or keeps state."""

    def __init__(self, path: Path) -> None:
        """Load the library at `path`; `load_cuda_library` finds the one that was installed.

        Raises:
            BackendError: it cannot be loaded, or was built for another version of this module.
        """
        try:
            library = ctypes.CDLL(str(path))
            version = library.redvillm_cuda_abi_version()
        except (OSError, AttributeError) as error:
            raise BackendError(f"the CUDA kernels cannot be loaded from {path} ({error}); install redvillm again with 'pip install .'") from error
        if version != ABI_VERSION:
            raise BackendError(f"{path} has interface {version}, this module needs {ABI_VERSION}; install redvillm again with 'pip install .'")
        self.path = path
        self._pool = library.redvillm_cuda_pool
        self._pool.argtypes = (
            ctypes.c_void_p,
            ctypes.c_int,
            *3 * (ctypes.c_int64,),
            *4 * (ctypes.c_void_p,),
        )
        self._push = library.redvillm_cuda_push
        self._push.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.POINTER(_WindowStruct), ctypes.c_void_p)
        self._error_text = library.redvillm_cuda_error_text
        self._error_text.restype = ctypes.c_char_p

    def pool(  # noqa: PLR0917 (the order of the C function)
        self,
        x_pointer: int,
        element: CudaElement,
        sizes: tuple[int, int, int],
        weights_pointer: int | None,
        temporal_pointer: int,
        spatial_pointer: int,
        stream: int,
    ) -> None:
        """Launch both means of a clip: see redvillm.kernels.spatio_temporal_pool for the formula.

        Args:
            x_pointer: device address of x [T, N, D].
            element: type of x, temporal and spatial; accumulation is float32.
            sizes: (T, N, D).
            weights_pointer: float32 [T], raw: they are divided by their sum, and a sum of zero gives NaN. None for the plain mean.
            temporal_pointer: receives [N, D].
            spatial_pointer: receives [T, D].
            stream: a cudaStream_t as an integer, 0 for the default stream.

        Raises:
            OptionsError: an argument outside its limits, which launcher.h lists.
            BackendError: no driver, no device, no kernel for its architecture, or a failed launch.
        """
        status = self._pool(x_pointer, _element_number(element), *sizes, weights_pointer, temporal_pointer, spatial_pointer, stream)
        self._check(status, f"pooling of {element} [T, N, D] = {list(sizes)}")

    def push(self, frame_pointer: int, element: CudaElement, sizes: tuple[int, int], window: CudaWindow, stream: int) -> None:
        """Launch the push of one frame into a live window.

        Args:
            frame_pointer: device address of the frame [N, D].
            element: its type.
            sizes: (N, D).
            window: the window's buffers.
            stream: a cudaStream_t as an integer, 0 for the default stream.

        Raises:
            OptionsError: an argument outside its limits, which launcher.h lists.
            BackendError: no driver, no device, no kernel for its architecture, or a failed launch.
        """
        struct = _WindowStruct(**{name: getattr(window, name) for name, _ in _WindowStruct._fields_})
        status = self._push(frame_pointer, _element_number(element), *sizes, ctypes.byref(struct), stream)
        self._check(status, f"push of a {element} frame [N, D] = {list(sizes)}")

    def error_text(self, status: int) -> str:
        """Return in words what a C function of the library returned: 0, a negative number of launcher.h, or a cudaError_t."""
        text: bytes = self._error_text(status)
        return text.decode()

    def _check(self, status: int, what: str) -> None:
        if status < 0:
            raise OptionsError(f"{what} was refused: {self.error_text(status)}")
        if status > 0:
            raise BackendError(
                f"{what} failed on the device: {self.error_text(status)} (CUDA error {status}); check the driver with nvidia-smi, "
                "and that the library was built for this GPU (REDVILLM_CUDA_ARCHITECTURES)"
            )


def cuda_library_path() -> Path | None:
    """Return where the library was installed, or None if redvillm was built without CUDA."""
    module = find_spec("redvillm.kernels._native")  # installed side by side, also where the Python sources are elsewhere
    if module is None or module.origin is None:
        return None
    path = Path(module.origin).with_name(LIBRARY_NAME)
    return path if path.is_file() else None


def load_cuda_library() -> CudaLibrary:
    """Return the installed library. Needs no driver; the first launch says in words if there is none.

    Raises:
        BackendError: redvillm was built without CUDA, or the library cannot be loaded.
    """
    path = cuda_library_path()
    if path is None:
        raise BackendError(
            f"redvillm was installed without CUDA kernels ({LIBRARY_NAME} is missing); install it again with the CUDA toolkit's nvcc on PATH: "
            "pip install . -Ccmake.define.REDVILLM_CUDA=ON"
        )
    return CudaLibrary(path)


def _element_number(element: str) -> int:
    elements = get_args(CudaElement)
    if element not in elements:
        raise OptionsError(f"element is {element!r:.40}; legal values are {', '.join(elements)}")
    return elements.index(element)
