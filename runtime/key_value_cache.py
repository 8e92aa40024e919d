"""The memory of a decoder's KV cache: of the host, or of a GPU.

One buffer for keys and one for values of every layer, float16 [1, num_kv_heads, C, head_width], bound once as past and as present: a step writes its
positions in place. The rotary tables of models whose positions have three parts belong to the same places and lie beside it. Knows buffers and
bindings; does not know how many positions are in use.
"""

from collections.abc import Mapping
from typing import Any, Literal, Protocol, Self

import numpy as np
import numpy.typing as npt

from redvillm.manifest import Dimensions, Tensors
from redvillm.runtime.cuda_session import CUDA_PROVIDER
from redvillm.runtime.device_memory import DeviceMemory
from redvillm.runtime.session import Session

Tables = Mapping[str, npt.NDArray[Any]]
_KINDS: tuple[Literal["key"], Literal["value"]] = ("key", "value")
_ITEM_BYTES = np.dtype(np.float16).itemsize


class KeyValueCache(Protocol):
    """What a decoder needs of the memory of its cache; C places."""

    def bind(self, binding: Any) -> None:
        """Bind every buffer as past and as present of an onnxruntime.IOBinding."""

    def bind_tables(self, binding: Any, tables: Tables, start: int, end: int) -> None:
        """Bind rotary tables, float32 [C, head_width / 2] each; only the places `start` to `end` changed since the last time."""

    def copy(self, other: Self, start: int, end: int) -> None:
        """Take over the places `start` to `end` of another cache of the same sizes."""


class HostCache:
    """A cache in the memory of the host, for sessions on the CPU; touched as it fills."""

    def __init__(self, dimensions: Dimensions, num_places: int) -> None:
        self._shape = (1, dimensions.num_kv_heads, num_places, dimensions.head_width)
        self._buffers = {name: np.zeros(self._shape, dtype=np.float16) for name in _places(dimensions)}

    def bind(self, binding: Any) -> None:
        """Bind the arrays themselves; they must live as long as the binding is used."""
        for name, buffer in self._buffers.items():
            _bind(binding, name, "cpu", self._shape, buffer.ctypes.data)

    def bind_tables(self, binding: Any, tables: Tables, start: int, end: int) -> None:  # noqa: ARG002 - whole tables cost nothing here
        """Bind the arrays themselves."""
        for name, table in tables.items():
            binding.bind_cpu_input(name, table)

    def copy(self, other: Self, start: int, end: int) -> None:
        """Copy within the host."""
        for name, buffer in self._buffers.items():
            buffer[:, :, start:end] = other._buffers[name][:, :, start:end]


class DeviceCache:
    """A cache in the memory of a GPU, allocated whole: only embeddings, the rows of tables that changed, and logits cross the bus.

    ONNX Runtime waits for its own stream at the end of every run, and everything here waits for its copies, so that no copy meets a run.
    *Not yet run on a device.*
    """

    def __init__(self, dimensions: Dimensions, num_places: int, memory: DeviceMemory | None = None, *, device_type: str = "cuda") -> None:
        """Allocate it.

        Args:
            dimensions: sizes of the decoder.
            num_places: C.
            memory: where; None takes the first GPU.
            device_type: what ONNX Runtime calls the place.

        Raises:
            BackendError: no driver or GPU, or too little memory.
        """
        self._memory = DeviceMemory() if memory is None else memory
        self._device_type = device_type
        self._memory.activate()
        self._shape = (1, dimensions.num_kv_heads, num_places, dimensions.head_width)
        num_bytes = dimensions.num_kv_heads * num_places * dimensions.head_width * _ITEM_BYTES
        self._buffers = {name: self._memory.allocate(num_bytes) for name in _places(dimensions)}
        self._tables: dict[str, tuple[int, int]] = {}  # address and bytes of a row

    def bind(self, binding: Any) -> None:
        """Bind the addresses; the cache must live as long as the binding is used."""
        for name, address in self._buffers.items():
            _bind(binding, name, self._device_type, self._shape, address)

    def bind_tables(self, binding: Any, tables: Tables, start: int, end: int) -> None:
        """Copy the rows that changed to the GPU; the tables are bound the first time."""
        self._memory.activate()
        for name, table in tables.items():
            if name not in self._tables:
                self._tables[name] = (self._memory.allocate(table.nbytes), table.strides[0])
                binding.bind_input(name, self._device_type, 0, table.dtype, table.shape, self._tables[name][0])
            address, row_bytes = self._tables[name]
            self._memory.upload(address + start * row_bytes, table[start:end])
        self._memory.synchronize()

    def copy(self, other: Self, start: int, end: int) -> None:
        """Copy within the GPU."""
        if start == end:
            return
        _, num_heads, num_places, head_width = self._shape
        place_bytes = head_width * _ITEM_BYTES
        self._memory.activate()
        for name, address in self._buffers.items():
            self._memory.copy_rows(
                address + start * place_bytes,
                other._buffers[name] + start * place_bytes,
                num_rows=num_heads,
                num_bytes=(end - start) * place_bytes,
                source_pitch_bytes=other._shape[2] * place_bytes,
                target_pitch_bytes=num_places * place_bytes,
            )
        self._memory.synchronize()


def make_cache(session: Session, dimensions: Dimensions, num_places: int) -> KeyValueCache:
    """Return a cache where the session runs.

    Raises:
        BackendError: the GPU has too little memory.
    """
    return DeviceCache(dimensions, num_places) if session.provider == CUDA_PROVIDER else HostCache(dimensions, num_places)


def _places(dimensions: Dimensions) -> list[tuple[int, Literal["key", "value"]]]:
    return [(layer, kind) for layer in range(dimensions.num_layers) for kind in _KINDS]


def _bind(binding: Any, name: tuple[int, Literal["key", "value"]], device_type: str, shape: tuple[int, ...], address: int) -> None:
    binding.bind_input(Tensors.past(*name), device_type, 0, np.float16, shape, address)
    binding.bind_output(Tensors.present(*name), device_type, 0, np.float16, shape, address)
