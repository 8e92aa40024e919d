"""An execution context of a TensorRT engine: shapes for one number of frames at a time, over buffers that do not move.

Knows TensorRT's contexts; does not know copies or graphs. *Not yet run on a device.*
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from redvillm.errors import BackendError
from redvillm.runtime.tensorrt_borders import Border
from redvillm.runtime.tensorrt_engine import LoadedEngine

_RTX = "tensorrt_rtx"
MIN_SCRATCH_BYTES = 256


@dataclass(frozen=True)
class Scratch:
    """Memory of the GPU for the activations of one run; contexts that run one after the other share it."""

    address: int
    num_bytes: int


def captures_itself(loaded: LoadedEngine) -> bool:
    """Whether the library makes CUDA graphs by itself: TensorRT for RTX does, because it compiles kernels for new shapes while it runs.

    https://docs.nvidia.com/deeplearning/tensorrt-rtx/latest/inference-library/work-with-cuda-graphs.html
    """
    return loaded.tensorrt.flavour == _RTX


def scratch_bytes(loaded: LoadedEngine) -> int:
    """Return how much scratch a context of this engine wants from us, for the largest number of frames; 0 where it takes its own."""
    return 0 if captures_itself(loaded) else max(int(loaded.engine.device_memory_size_v2), MIN_SCRATCH_BYTES)


class EngineContext:
    """One IExecutionContext."""

    def __init__(self, loaded: LoadedEngine, borders: Sequence[Border], scratch: Scratch) -> None:
        """Make it.

        Raises:
            BackendError: TensorRT cannot.
        """
        self._loaded, self._borders = loaded, borders
        self._num_frames: int | None = None
        self._shapes: dict[str, tuple[int, ...]] = {}
        context = _create(loaded)
        if context is None:
            raise BackendError(f"{loaded.tensorrt} makes no execution context of {loaded.path.name} ({loaded.logger.words()})")
        if scratch.num_bytes:
            context.set_device_memory(scratch.address, scratch.num_bytes)
        self._context = context

    def bind(self, addresses: Mapping[str, int]) -> None:
        """Tell where inputs and outputs lie on the GPU.

        Raises:
            BackendError: TensorRT refuses.
        """
        for name, address in addresses.items():
            self._require(self._context.set_tensor_address(name, address), f"the address of {name}")

    def set_frames(self, num_frames: int) -> dict[str, tuple[int, ...]]:
        """Set the shapes of the inputs; return those of all tensors.

        Raises:
            BackendError: TensorRT refuses the shapes, or does not know those of the outputs.
        """
        if self._num_frames == num_frames:
            return self._shapes
        self._num_frames = None
        for border in self._borders:
            if border.is_input and border.follows_frames:
                shape = border.shape_for(num_frames)
                self._require(self._context.set_input_shape(border.name, shape), f"{border.name} of the shape {list(shape)}")
        shapes = {border.name: tuple(self._context.get_tensor_shape(border.name)) for border in self._borders}
        for border in self._borders:
            found = shapes[border.name]
            if len(found) != len(border.shape) or any(
                size < 1 or wanted not in (None, size) for size, wanted in zip(found, border.shape, strict=True)
            ):
                raise BackendError(f"{self._loaded.path.name} gives {border.name} of the shape {list(found)} for {num_frames} frames; build it again")
        self._num_frames, self._shapes = num_frames, shapes
        return shapes

    def enqueue(self, stream: int) -> None:
        """Put the engine on a stream.

        Raises:
            BackendError: TensorRT refuses.
        """
        self._require(self._context.execute_async_v3(stream), "to run")

    def _require(self, accepted: bool, what: str) -> None:
        if not accepted:
            raise BackendError(f"{self._loaded.tensorrt} refused {what} ({self._loaded.logger.words()})")


def _create(loaded: LoadedEngine) -> Any:
    trt = loaded.tensorrt.module
    if captures_itself(loaded):
        config = loaded.engine.create_runtime_config()
        config.cuda_graph_strategy = trt.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
        return loaded.engine.create_execution_context(config)
    return loaded.engine.create_execution_context(trt.ExecutionContextAllocationStrategy.USER_MANAGED)
