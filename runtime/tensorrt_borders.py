"""The tensors of a TensorRT engine that cross its border, checked against the manifest: what buffers hold, and in which shapes.

Knows TensorRT's engines and the manifest's names; does not know memory.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from redvillm.engine_key import FrameProfile
from redvillm.errors import BundleFileError
from redvillm.manifest import GraphSpec, TensorSpec

_DTYPES = {"FLOAT": "float32", "HALF": "float16", "UINT8": "uint8", "INT8": "int8", "INT32": "int32", "INT64": "int64", "BOOL": "bool"}


@dataclass(frozen=True)
class Border:
    """One input or output.

    Attributes:
        name: of the tensor.
        dtype: of the tensor.
        shape: None for a size that follows the number of frames; axis 0 may.
        is_input: input or output.
    """

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int | None, ...]
    is_input: bool

    @property
    def follows_frames(self) -> bool:
        """Whether its first size follows the number of frames."""
        return None in self.shape

    def shape_for(self, num_frames: int) -> tuple[int, ...]:
        """Return the shape of an input of `num_frames` frames."""
        return tuple(num_frames if size is None else size for size in self.shape)


def read_borders(trt: Any, engine: Any, spec: GraphSpec, frames: FrameProfile, where: str) -> tuple[Border, ...]:
    """Return the inputs and outputs of an engine, in the order of the manifest.

    Raises:
        BundleFileError: they are not what the manifest says, or the engine's own profile is not what its key says; `where` names the engine.
    """
    names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
    differences = []
    borders = []
    for tensors, mode in ((spec.inputs, trt.TensorIOMode.INPUT), (spec.outputs, trt.TensorIOMode.OUTPUT)):
        is_input = mode == trt.TensorIOMode.INPUT
        if missing := [tensor.name for tensor in tensors if tensor.name not in names or engine.get_tensor_mode(tensor.name) != mode]:
            differences.append(f"{', '.join(missing)} is no {'input' if is_input else 'output'} of it")
            continue
        for tensor in tensors:
            differences += _differences(trt, engine, tensor, frames, is_input=is_input)
            borders.append(
                Border(tensor.name, np.dtype(tensor.dtype), tuple(size if isinstance(size, int) else None for size in tensor.shape), is_input)
            )
    if extra := sorted(set(names) - {tensor.name for tensor in (*spec.inputs, *spec.outputs)}):
        differences.append(f"the manifest does not know {', '.join(extra)}")
    if differences:
        raise BundleFileError(f"{where} is not an engine of this bundle: {'; '.join(differences)}. Build it again with: redvillm engine")
    return tuple(borders)


def _differences(trt: Any, engine: Any, tensor: TensorSpec, frames: FrameProfile, *, is_input: bool) -> list[str]:
    name, shape = tensor.name, tuple(engine.get_tensor_shape(tensor.name))
    found, legal = (
        _DTYPES.get(engine.get_tensor_dtype(name).name, "another type"),
        tuple(-1 if isinstance(size, str) else size for size in tensor.shape),
    )
    faults = []
    if found != tensor.dtype:
        faults.append(f"{name} is {found}, {tensor.dtype} is wanted")
    # TensorRT does not always know a size of an output before it runs
    if len(shape) != len(legal) or any(size != wanted and (is_input or size != -1) for size, wanted in zip(shape, legal, strict=True)):
        faults.append(f"{name} is {list(shape)}, {list(tensor.shape)} is wanted")
    if any(isinstance(size, str) for size in tensor.shape[1:]):
        faults.append(f"{name} has a dynamic size that is not the first")
    if engine.get_tensor_location(name) != trt.TensorLocation.DEVICE:
        faults.append(f"{name} lies in the memory of the host")
    if is_input and not faults and -1 in shape:
        profile = tuple(sizes[0] for sizes in engine.get_tensor_profile_shape(name, 0))
        if profile != (frames.smallest, frames.usual, frames.largest):
            faults.append(f"{name} takes {profile[0]} to {profile[2]} frames, its key says {frames.smallest} to {frames.largest}")
    return faults
