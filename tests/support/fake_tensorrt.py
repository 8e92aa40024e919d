"""A stand-in for the module of TensorRT, over the stand-in of the driver: the part of its API that the runtime uses, with the real one's names.

An "engine" is a graph that ONNX Runtime computes on the CPU, out of the addresses that the context was given, when the stream comes to it. What the
real library demands is demanded: shapes and addresses before a run, scratch where it was left to the caller, and no capture right after a change of
shapes. A test compares the signatures with those of the real module.
"""

import ctypes
import enum
import json
import time
from types import SimpleNamespace

import numpy as np
import onnxruntime

_MAGIC = b"FAKE ENGINE\n"
_TYPES = {"uint8": "UINT8", "float32": "FLOAT", "float16": "HALF"}
_KERNEL = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int64)


def serialize(onnx, header):
    """Return the bytes of an engine of `onnx`; `header` has its `frames` (smallest, usual, largest), and may change what it says of itself."""
    return _MAGIC + json.dumps(header).encode() + b"\n" + onnx.read_bytes()


class Dims(tuple):
    __slots__ = ()


class _Logger:
    class Severity(enum.Enum):
        INTERNAL_ERROR = 0
        ERROR = 1
        WARNING = 2

    def log(self, severity, msg):
        raise NotImplementedError


def make_module(driver, version, *, rtx=False):
    """Return the module; `driver` is the fake libcuda, a ctypes.CDLL. `module.books` tells what was done."""
    driver.fake_launch.argtypes = (ctypes.c_void_p, _KERNEL, ctypes.c_int64)
    driver.fake_captures.argtypes = (ctypes.c_void_p,)
    driver.fake_holds.argtypes = (ctypes.c_uint64, ctypes.c_size_t)
    books = SimpleNamespace(kernels=0, contexts=0, strategies=[], scratch_bytes=1000, refuse_capture=False, kernel_s=0.0)
    modes = enum.Enum("TensorIOMode", "NONE INPUT OUTPUT")
    types = enum.Enum("DataType", "FLOAT HALF UINT8 INT64")
    locations = enum.Enum("TensorLocation", "DEVICE HOST")
    strategies = enum.Enum("ExecutionContextAllocationStrategy", "STATIC ON_PROFILE_CHANGE USER_MANAGED")
    graph_strategies = enum.Enum("CudaGraphStrategy", "DISABLED WHOLE_GRAPH_CAPTURE")

    class IExecutionContext:
        def __init__(self, engine, needs_scratch):
            self._engine, self._needs_scratch = engine, needs_scratch
            self._scratch = None
            self._shapes, self._addresses = {}, {}
            self._deferred = True
            self._kernel = _KERNEL(self._compute)
            self._runs = {}
            books.contexts += 1

        def set_device_memory(self, memory, size):
            self._scratch = (memory, size)

        def set_tensor_address(self, name, memory):
            self._addresses[name] = memory
            return name in self._engine.tensors

        def set_input_shape(self, name, shape):
            smallest, _, largest = self._engine.header["frames"]
            wanted = self._engine.get_tensor_shape(name)
            fits = len(shape) == len(wanted) and all(
                size == legal or (legal == -1 and smallest <= size <= largest) for size, legal in zip(shape, wanted, strict=True)
            )
            if not fits:
                self._engine.logger.log(_Logger.Severity.ERROR, f"{name}: {tuple(shape)} is outside the profile")
                return False
            self._deferred = self._deferred or self._shapes.get(name) != tuple(shape)
            self._shapes[name] = tuple(shape)
            return True

        def get_tensor_shape(self, name):
            static = self._engine.get_tensor_shape(name)
            if -1 not in static:
                return static
            if name in self._shapes:
                return Dims(self._shapes[name])
            frames = {
                size
                for shape, legal in ((self._shapes.get(key), self._engine.get_tensor_shape(key)) for key in self._engine.inputs)
                if shape
                for size, wanted in zip(shape, legal, strict=True)
                if wanted == -1
            }
            if len(frames) != 1:
                return static
            rows = self._engine.header.get("rows_added", {}).get(name, 0)
            return Dims(next(iter(frames)) + rows if size == -1 else size for size in static)

        def execute_async_v3(self, stream_handle):
            books.kernels += 1
            engine = self._engine
            shapes = {name: tuple(self.get_tensor_shape(name)) for name in engine.tensors}
            if set(self._addresses) != set(engine.tensors) or any(-1 in shape for shape in shapes.values()):
                engine.logger.log(_Logger.Severity.ERROR, "addresses or shapes are missing")
                return False
            if self._needs_scratch and (self._scratch is None or self._scratch[1] < books.scratch_bytes):
                engine.logger.log(_Logger.Severity.ERROR, "there is no scratch")
                return False
            if driver.fake_captures(stream_handle) and (self._deferred or books.refuse_capture):
                engine.logger.log(_Logger.Severity.ERROR, "this cannot be captured")
                return False
            self._deferred = False
            self._runs[len(self._runs)] = (dict(self._addresses), shapes)  # a captured run keeps what it was captured with
            return driver.fake_launch(stream_handle, self._kernel, len(self._runs) - 1) == 0

        def _compute(self, number):
            time.sleep(books.kernel_s)
            addresses, shapes = self._runs[number]
            engine, feeds = self._engine, {}
            for name, spec in engine.tensors.items():
                size = int(np.prod(shapes[name])) * np.dtype(spec).itemsize
                if not driver.fake_holds(addresses[name], size):
                    return 1
                if name in engine.inputs:
                    feeds[name] = np.frombuffer(ctypes.string_at(addresses[name], size), spec).reshape(shapes[name])
            if self._needs_scratch and not driver.fake_holds(*self._scratch):
                return 1
            outputs = [name for name in engine.tensors if name not in engine.inputs]
            for name, value in zip(outputs, engine.session.run(outputs, feeds), strict=True):
                if value.shape != shapes[name]:
                    return 1
                ctypes.memmove(addresses[name], np.ascontiguousarray(value).ctypes.data, value.nbytes)
            return 0

    class IRuntimeConfig:
        def __init__(self):
            self.cuda_graph_strategy = graph_strategies.DISABLED

    class ICudaEngine:
        def __init__(self, header, onnx, logger):
            self.header, self.logger = header, logger
            self.session = onnxruntime.InferenceSession(onnx, providers=["CPUExecutionProvider"])
            kinds = {"tensor(uint8)": "uint8", "tensor(float)": "float32", "tensor(float16)": "float16"}
            self.inputs = [node.name for node in self.session.get_inputs()]
            nodes = [*self.session.get_inputs(), *self.session.get_outputs()]
            self.tensors = {node.name: kinds[node.type] for node in nodes}
            self.shapes = {node.name: Dims(size if isinstance(size, int) else -1 for size in node.shape) for node in nodes}
            self.shapes |= {name: Dims(shape) for name, shape in header.get("shapes", {}).items()}

        @property
        def num_io_tensors(self):
            return len(self.tensors)

        @property
        def device_memory_size_v2(self):
            return books.scratch_bytes

        def get_tensor_name(self, index):
            return list(self.tensors)[index]

        def get_tensor_mode(self, name):
            return modes.INPUT if name in self.inputs else modes.OUTPUT

        def get_tensor_dtype(self, name):
            return types[self.header.get("types", {}).get(name, _TYPES[self.tensors[name]])]

        def get_tensor_shape(self, name):
            return self.shapes[name]

        def get_tensor_location(self, name):
            return locations[self.header.get("locations", {}).get(name, "DEVICE")]

        def get_tensor_profile_shape(self, name, profile_index):
            assert profile_index == 0
            return [Dims(count if size == -1 else size for size in self.shapes[name]) for count in self.header["frames"]]

        def create_runtime_config(self):
            return IRuntimeConfig()

        def create_execution_context(self, strategy):
            books.strategies.append(strategy.cuda_graph_strategy.name if isinstance(strategy, IRuntimeConfig) else strategy.name)
            if self.header.get("no_context"):
                self.logger.log(_Logger.Severity.ERROR, "no context today")
                return None
            return IExecutionContext(self, strategy is strategies.USER_MANAGED)

    class Runtime:
        def __init__(self, logger):
            self._logger = logger

        def deserialize_cuda_engine(self, serialized_engine):
            content = bytes(serialized_engine)
            if not content.startswith(_MAGIC):
                self._logger.log(_Logger.Severity.ERROR, "magic tag does not match")
                return None
            header, _, onnx = content.removeprefix(_MAGIC).partition(b"\n")
            return ICudaEngine(json.loads(header), onnx, self._logger)

    if not rtx:
        del ICudaEngine.create_runtime_config
    return SimpleNamespace(
        __version__=version,
        books=books,
        ILogger=_Logger,
        Runtime=Runtime,
        ICudaEngine=ICudaEngine,
        IExecutionContext=IExecutionContext,
        IRuntimeConfig=IRuntimeConfig,
        TensorIOMode=modes,
        DataType=types,
        TensorLocation=locations,
        ExecutionContextAllocationStrategy=strategies,
        CudaGraphStrategy=graph_strategies,
    )
