"""Running a TensorRT engine: buffers that stay, one stream, and CUDA graphs for numbers of frames that come again.

One device buffer and one page-locked buffer per tensor, for the largest number of frames of the engine's profile, are allocated when the session is
made; a run allocates nothing on the GPU, but for the one that captures a graph (`FrameGraphs` has the rule; TensorRT for RTX makes its own).
API: https://docs.nvidia.com/deeplearning/tensorrt/latest/_static/python-api/infer/Core/ExecutionContext.html. Knows tensors by name; does not know
what they mean. *Not yet run on a device.*
"""

import threading
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from redvillm.errors import BackendError
from redvillm.kernels.tensorrt_module import load_tensorrt
from redvillm.manifest import GraphSpec, Manifest
from redvillm.runtime.device_memory import CapturedGraph, DeviceMemory
from redvillm.runtime.tensorrt_borders import read_borders
from redvillm.runtime.tensorrt_context import EngineContext, Scratch, captures_itself, scratch_bytes
from redvillm.runtime.tensorrt_engine import LoadedEngine, WantedEngine, find_engine, load_engine
from redvillm.runtime.tensorrt_graphs import RUNS_BEFORE_REPLAY, FrameGraphs

Array = npt.NDArray[Any]


class TensorRtSession:
    """An engine with its buffers; `run` may be called from several threads, one at a time computes. Made by `open_tensorrt_session`."""

    def __init__(self, loaded: LoadedEngine, spec: GraphSpec, memory: DeviceMemory, *, in_parts: bool) -> None:
        """Allocate what runs need.

        Args:
            loaded: the engine; its key has been checked.
            spec: the graph's inputs and outputs, from the manifest.
            memory: of the GPU; it belongs to the session from now on.
            in_parts: whether frames are independent, so that more than the profile takes are run in parts.

        Raises:
            BundleFileError: the engine is not of this graph.
            BackendError: too little memory, or TensorRT refuses.
        """
        self._loaded, self._memory, self._in_parts = loaded, memory, in_parts
        self._frames = loaded.key.frames
        self._lock = threading.Lock()
        memory.activate()
        borders = read_borders(loaded.tensorrt.module, loaded.engine, spec, self._frames, loaded.path.name)
        self._borders = {border.name: border for border in borders}
        num_bytes = scratch_bytes(loaded)
        self._scratch = Scratch(memory.allocate(num_bytes) if num_bytes else 0, num_bytes)
        self._context = EngineContext(loaded, borders, self._scratch)
        self._shapes = {self._frames.largest: self._context.set_frames(self._frames.largest)}  # by number of frames, then by name
        largest = {border.name: int(np.prod(self._shapes[self._frames.largest][border.name])) * border.dtype.itemsize for border in borders}
        self._device = {name: memory.allocate(size) for name, size in largest.items()}
        self._host = {name: memory.allocate_host(size) for name, size in largest.items()}
        self._context.bind(self._device)
        self._graphs = None if captures_itself(loaded) else FrameGraphs()

    @property
    def provider(self) -> str:
        """What runs: library, version, architecture, precision, engine, and whether CUDA graphs are used."""
        loaded = self._loaded
        graphs = "CUDA graphs of its own" if self._graphs is None else self._graphs.words
        return f"{loaded.tensorrt} on {self._memory.architecture}, {loaded.key.precision}, engine {loaded.path.name}, {graphs}"

    def run(self, output_names: list[str], feeds: dict[str, npt.NDArray[np.generic]]) -> list[npt.NDArray[np.generic]]:
        """Run the engine; the results are the caller's own.

        Raises:
            BackendError: it does not take these inputs or has no such output, takes fewer frames, or failed.
        """
        num_frames = self._check(output_names, feeds)
        step = self._frames.largest
        with self._lock:
            self._memory.activate()
            if num_frames <= step:
                return self._run_part(output_names, feeds, num_frames)
            parts = []
            for start in range(0, num_frames, step):
                part = {name: value[start : start + step] if self._borders[name].follows_frames else value for name, value in feeds.items()}
                parts.append(self._run_part(output_names, part, min(step, num_frames - start)))
        return [np.concatenate(rows) for rows in zip(*parts, strict=True)]

    def warm_up(self, num_frames: int) -> None:
        """Run on zeros until the number of frames, or the nearest one that the profile has, is run as later on.

        Raises:
            BackendError: the engine does not run.
        """
        count = min(max(num_frames, self._frames.smallest), self._frames.largest)
        zeros: dict[str, Array] = {name: np.zeros(border.shape_for(count), border.dtype) for name, border in self._borders.items() if border.is_input}
        for _ in range(RUNS_BEFORE_REPLAY):
            self.run([], zeros)

    def _run_part(self, output_names: list[str], feeds: dict[str, Array], num_frames: int) -> list[Array]:
        try:
            if num_frames not in self._shapes:
                self._shapes[num_frames] = self._context.set_frames(num_frames)
            for name, value in feeds.items():
                np.copyto(self._view(name, num_frames), value)
            if self._graphs is None:
                self._enqueue(self._context, num_frames)
            else:
                self._graphs.run(num_frames, lambda: self._enqueue(self._context, num_frames), lambda: self._capture(num_frames))
            self._memory.synchronize()
        except BackendError as error:
            raise BackendError(f"running {self._loaded.path.name} on {num_frames} frames failed: {error}") from error
        return [self._view(name, num_frames).copy() for name in output_names]

    def _enqueue(self, context: EngineContext, num_frames: int) -> None:
        """Put the copies and the engine on the stream."""
        context.set_frames(num_frames)
        for name, border in self._borders.items():
            if border.is_input:
                self._memory.upload(self._device[name], self._view(name, num_frames))
        context.enqueue(self._memory.stream)
        for name, border in self._borders.items():
            if not border.is_input:
                self._memory.download(self._view(name, num_frames), self._device[name])

    def _capture(self, num_frames: int) -> tuple[CapturedGraph, EngineContext]:
        """Return a graph over a context of its own, as TensorRT advises; both share the scratch, for one run at a time is on the stream.

        The run before the capture does what a change of shapes puts off, which may not happen within one.
        https://docs.nvidia.com/deeplearning/tensorrt/latest/performance/best-practices.html#cuda-graphs
        """
        context = EngineContext(self._loaded, list(self._borders.values()), self._scratch)
        context.bind(self._device)
        self._enqueue(context, num_frames)
        self._memory.synchronize()
        return self._memory.capture(lambda: self._enqueue(context, num_frames)), context

    def _view(self, name: str, num_frames: int) -> Array:
        """Return the beginning of a page-locked buffer as the tensor that it holds."""
        border, shape = self._borders[name], self._shapes[num_frames][name]
        return self._host[name][: int(np.prod(shape)) * border.dtype.itemsize].view(border.dtype).reshape(shape)

    def _check(self, output_names: list[str], feeds: dict[str, npt.NDArray[np.generic]]) -> int:
        """Return the number of frames in `feeds`."""
        inputs = {name: border for name, border in self._borders.items() if border.is_input}
        outputs = set(self._borders) - set(inputs)
        if set(feeds) != set(inputs) or not set(output_names) <= outputs:
            raise BackendError(
                f"{self._loaded.path.name} takes {', '.join(sorted(inputs))} and gives {', '.join(sorted(outputs))}; it was asked for "
                f"{', '.join(output_names)} out of {', '.join(sorted(feeds))}"
            )
        num_frames = next((len(feeds[name]) for name, border in inputs.items() if border.follows_frames and feeds[name].ndim), self._frames.smallest)
        for name, border in inputs.items():
            wanted = border.shape_for(num_frames)
            if feeds[name].dtype != border.dtype or feeds[name].shape != wanted:
                raise BackendError(f"{name} is {feeds[name].dtype} {list(feeds[name].shape)}; {border.dtype} {list(wanted)} is wanted")
        if num_frames < self._frames.smallest or (num_frames > self._frames.largest and not self._in_parts):
            raise BackendError(
                f"{self._loaded.path.name} takes {self._frames.smallest} to {self._frames.largest} frames, {num_frames} were given; "
                "build an engine for more with: redvillm engine"
            )
        return num_frames


def open_tensorrt_session(folder: Path, manifest: Manifest, graph: str, *, in_parts: bool, memory: DeviceMemory | None = None) -> TensorRtSession:
    """Open the engine of a graph of a bundle, and run it on zeros: one frame where frames are independent, else a whole window.

    Args:
        folder: the bundle.
        manifest: its manifest.
        graph: for example "vision.onnx".
        in_parts: whether the frames of the graph are independent.
        memory: of the GPU; None takes the first one.

    Raises:
        BackendError: no TensorRT, no driver, too little memory, or the engine does not run.
        BundleFileError: there is no engine, or it is altered or not of this graph.
        BundleTargetError: none of the engines that are there runs here.
    """
    tensorrt = load_tensorrt()
    memory = DeviceMemory() if memory is None else memory
    wanted = WantedEngine(
        bundle=folder,
        stem=Path(graph).stem,
        onnx_sha256=manifest.files[graph].sha256,
        num_frames=manifest.dimensions.num_frames,
        in_parts=in_parts,
    )
    path, key = find_engine(wanted, tensorrt, memory.architecture)
    session = TensorRtSession(load_engine(path, key, tensorrt), manifest.graphs[graph], memory, in_parts=in_parts)
    session.warm_up(1 if in_parts else manifest.dimensions.num_frames)
    return session
