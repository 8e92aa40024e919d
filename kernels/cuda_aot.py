"""The pooling kernel as PTX for engines that run without this library: its entries and how to launch them.

Knows the entries of kernels/csrc/cuda/aot.cu and their launch; does not know TensorRT. Parameters of an entry stand in the order inputs
(x, and weights for the weighted ones), int32 T, N, D, outputs (temporal, spatial).
"""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from redvillm.errors import BackendError, OptionsError

PTX_NAME = "pool_aot.ptx"
MAX_SHARED_BYTES = 48 * 1024


@dataclass(frozen=True)
class AotLaunch:
    """One launch: blocks, threads of a block, and bytes of dynamic shared memory."""

    grid_x: int
    block_x: int
    shared_bytes: int


def aot_entry(element: Literal["float32", "float16"], *, weighted: bool) -> str:
    """Return the name of the entry for x of this type."""
    return f"redvillm_{'weighted_' if weighted else ''}pool_{element}"


def aot_launch(num_frames: int, num_patches: int, width: int, element: Literal["float32", "float16"]) -> AotLaunch:
    """Return the launch for x [T, N, D], in the integer steps that aot.cu documents and symbolic shapes can repeat.

    Raises:
        OptionsError: the sums of so many frames of so many patches do not fit shared memory.
    """
    columns, vector, narrow_rows = (8, 4, 768) if element == "float32" else (16, 8, 384)
    rows = narrow_rows if width % vector else 192 * (8 if element == "float32" else 6)
    block_x = 32 * min(12, -(-num_patches // 16))
    has_chunks = min(1, max(0, num_patches - rows))
    shared_bytes = 4 * columns * (block_x // 4 + num_frames * has_chunks)
    if shared_bytes > MAX_SHARED_BYTES:
        most = MAX_SHARED_BYTES // (4 * columns) - block_x // 4
        raise OptionsError(
            f"T is {num_frames} at N {num_patches}, D {width}, {element}; the ahead-of-time kernel takes at most {most} frames of that"
        )
    return AotLaunch(-(-width // columns), block_x, shared_bytes)


def aot_ptx_path() -> Path:
    """Return the installed PTX.

    Raises:
        BackendError: redvillm was built without CUDA.
    """
    module = find_spec("redvillm.kernels._native")
    path = Path(module.origin).with_name(PTX_NAME) if module is not None and module.origin else None
    if path is None or not path.is_file():
        raise BackendError(f"redvillm was installed without CUDA kernels ({PTX_NAME} is missing); install it again with nvcc on PATH")
    return path
