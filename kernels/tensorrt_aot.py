"""The pooling kernel inside a TensorRT engine, which then runs without redvillm and without Python.

This is an ahead-of-time plugin of TensorRT 10.9 and newer: it keeps the kernel's PTX and the expressions of its launch, evaluated for each run
(https://docs.nvidia.com/deeplearning/tensorrt/latest/_static/python-api/infer/tensorrt.plugin/trt_plugin_aot_impl.html). The PTX is that of
`csrc/cuda/aot.cu`, whose comment gives the launch; it fixes the order of parameters: inputs, T, N, D, outputs.
*Written to the documentation, not yet run on a device*: TensorRT for RTX 1.7 has no `plugin` module to build with.
"""

import importlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from redvillm.errors import BackendError
from redvillm.kernels.cuda_aot import aot_entry, aot_ptx_path
from redvillm.kernels.tensorrt_module import TensorRT, load_tensorrt
from redvillm.kernels.tensorrt_rules import ELEMENTS, NAME, NAMESPACE, Element, check_types

_WARP = 32
_MAX_WARPS = 12
_ROWS_PER_WARP = 16
_PLUGIN_ID = f"{NAMESPACE}::{NAME}"


@dataclass(frozen=True)
class _Slab:
    """What a block of `aot.cu` works on. More rows than it holds come in chunks, and the sums of all frames wait in shared memory."""

    columns: int
    vector: int  # elements of one 16-byte read
    rows: int  # that the registers hold when the width is a multiple of `vector`
    rows_narrow: int  # and when it is not


_SLABS: Mapping[Element, _Slab] = MappingProxyType({"float32": _Slab(8, 4, 1536, 768), "float16": _Slab(16, 8, 1152, 384)})


@dataclass(frozen=True)
class SymbolicLaunch:
    """Grid, block and dynamic shared memory, as TensorRT's expressions."""

    grid_x: Any
    block_x: Any
    shared_bytes: Any


def symbolic_launch(element: Element, sizes: tuple[Any, Any, Any], operations: Any) -> SymbolicLaunch:
    """Return the launch of `cuda_aot.aot_launch` as expressions: + - * and cdiv, min, max are what TensorRT has.

    Args:
        element: type of features and outputs.
        sizes: T, N, D, as expressions; a number may only stand to the right of one.
        operations: holds the functions cdiv, min and max, as `tensorrt.plugin` does.
    """
    slab = _SLABS[element]
    num_frames, num_patches, width = sizes
    num_warps = operations.min(operations.cdiv(num_patches, _ROWS_PER_WARP), _MAX_WARPS)
    narrow = operations.min(operations.cdiv(width, slab.vector) * slab.vector - width, 1)  # 1 if the width is no multiple of the vector, else 0
    excess_rows = num_patches + narrow * (slab.rows - slab.rows_narrow) - slab.rows
    has_chunks = operations.min(operations.max(excess_rows, 0), 1)
    shared_floats = num_warps * (_WARP // 4) + num_frames * has_chunks
    return SymbolicLaunch(operations.cdiv(width, slab.columns), num_warps * _WARP, shared_floats * (4 * slab.columns))


def register_aot_plugin(tensorrt: TensorRT | None = None, *, ptx: Path | None = None, weighted: bool = False) -> None:
    """Register the ahead-of-time plugin, for building engines; running them needs nothing. A second call changes nothing.

    Its name is that of the Python plugin, so a process takes one of the two. TensorRT reads the number of inputs from the signature, so `weighted`
    must say whether the nodes of the graph have weights.

    Args:
        tensorrt: the library; None takes the one that `load_tensorrt` chooses.
        ptx: the kernels; None takes the PTX that was installed with redvillm's CUDA kernels.
        weighted: whether the nodes have frame weights.

    Raises:
        BackendError: this TensorRT has no ahead-of-time plugins, or the PTX is missing or holds other kernels.
    """
    chosen = load_tensorrt() if tensorrt is None else tensorrt
    trtp = _plugin_module(chosen)
    kernels = {element: aot_entry(element, weighted=weighted) for element in _SLABS}
    text = _read_ptx(aot_ptx_path() if ptx is None else ptx, kernels)
    if hasattr(trtp.op, NAMESPACE) and hasattr(getattr(trtp.op, NAMESPACE), NAME):
        return
    inputs = ("features", "weights") if weighted else ("features",)

    def describe(features: Any, *rest: Any) -> Any:
        check_types([tensor.dtype.name for tensor in (features, *rest)])
        num_frames, num_patches, width = features.shape_expr
        return tuple(trtp.from_shape_expr(shape, features.dtype) for shape in ((num_patches, width), (num_frames, width)))

    def implement(features: Any) -> Any:
        element = ELEMENTS[features.dtype.name]
        sizes = tuple(features.shape_expr)
        launch = symbolic_launch(element, sizes, trtp)
        parameters = trtp.KernelLaunchParams()
        parameters.grid_x, parameters.block_x, parameters.shared_mem = launch.grid_x, launch.block_x, launch.shared_bytes
        scalars = trtp.SymIntExprs(len(sizes))
        for index, size in enumerate(sizes):
            scalars[index] = trtp.SymInt32(size)
        return kernels[element], text, parameters, scalars

    trtp.register(_PLUGIN_ID)(_typed_describe(trtp, describe, inputs))
    trtp.aot_impl(_PLUGIN_ID)(_typed_implement(trtp, implement, inputs))


def _typed_describe(trtp: Any, describe: Any, inputs: tuple[str, ...]) -> Any:
    """TensorRT reads names and types of inputs and outputs from the signature; the types belong to the library that was chosen."""
    if len(inputs) == 1:

        def of_one(features: Any) -> Any:
            return describe(features)

        of_one.__annotations__ = _annotations(trtp, inputs)
        return of_one

    def of_two(features: Any, weights: Any) -> Any:
        return describe(features, weights)

    of_two.__annotations__ = _annotations(trtp, inputs)
    return of_two


def _typed_implement(trtp: Any, implement: Any, inputs: tuple[str, ...]) -> Any:
    returned = tuple[str, str, trtp.KernelLaunchParams, trtp.SymExprs]
    if len(inputs) == 1:

        def of_one(features: Any, outputs: Any, tactic: Any) -> Any:  # noqa: ARG001 (names that TensorRT requires)
            return implement(features)

        of_one.__annotations__ = {"return": returned}
        return of_one

    def of_two(features: Any, weights: Any, outputs: Any, tactic: Any) -> Any:  # noqa: ARG001 (as above)
        return implement(features)

    of_two.__annotations__ = {"return": returned}
    return of_two


def _annotations(trtp: Any, inputs: tuple[str, ...]) -> dict[str, Any]:
    return {**dict.fromkeys(inputs, trtp.TensorDesc), "return": tuple[trtp.TensorDesc, trtp.TensorDesc]}


def _plugin_module(tensorrt: TensorRT) -> Any:
    try:
        module = importlib.import_module(f"{tensorrt.flavour}.plugin")
    except ImportError:
        module = None
    if module is None or not hasattr(module, "aot_impl") or not hasattr(module, "KernelLaunchParams"):
        raise BackendError(
            f"{tensorrt} has no ahead-of-time Python plugins; they come with TensorRT 10.9 and newer. Ask for pooling 'plugin' or 'function'"
        )
    return module


def _read_ptx(path: Path, kernels: Mapping[Element, str]) -> str:
    try:
        text = path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise BackendError(f"{path} cannot be read as PTX ({error}); make it with nvcc -ptx from kernels/csrc/cuda/aot.cu") from error
    missing = [kernel for kernel in kernels.values() if not re.search(rf"\.entry\s+{kernel}\s*\(", text)]
    if missing:
        raise BackendError(f"{path} holds no kernel {' and '.join(missing)}; make it with nvcc -ptx from kernels/csrc/cuda/aot.cu")
    return text
