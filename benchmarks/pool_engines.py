"""The engines that pool a clip, side by side, and how they are timed: in turn, in one process. Knows no model and prints nothing.

All get the same features in the same memory and return both means. Each is asked after a pause, so that no engine's threads, which may spin for
some milliseconds, are in another's way. A small clip is then pooled three times untimed: the pause
has cooled the processor's caches, in which an encoder would have left it.
"""

import importlib.metadata
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from redvillm.kernels import ops
from redvillm.kernels.arrays import read_features
from redvillm.kernels.backend import load_native

Engine = Callable[[], object]

READ_1, READ_2 = ("read 1", "read 1, four streams"), ("read 2", "read 2, four streams")
OWN_1, OWN_2 = "redvillm 1", "redvillm 2"
NUMPY, TORCH, COMPILED, ORT_1, ORT_2 = "numpy", "torch", "torch.compile", "ORT 1", "ORT 2"

_PAUSE_S = 0.004
_SMALL_BYTES, _NUM_UNTIMED = 20e6, 3
_MAX_SECONDS = 0.8  # for the samples of one slow engine


@dataclass(frozen=True)
class Case:
    """One clip to pool."""

    model: str
    shape: tuple[int, int, int]
    dtype: str

    @property
    def num_bytes(self) -> int:
        """Size of the features, each counted once, in their own type."""
        return int(np.prod(self.shape)) * (4 if self.dtype == "float32" else 2)

    @property
    def name(self) -> str:
        """Return, for example, 'CLIP-L 100x576x1024 float16'."""
        return f"{self.model} {'x'.join(map(str, self.shape))} {self.dtype}"


@dataclass
class CaseResult:
    """Medians of one case, milliseconds, and how many samples each is of."""

    case: Case
    median_ms: dict[str, float] = field(default_factory=dict)
    num_samples: dict[str, int] = field(default_factory=dict)

    def read_ms(self, threads: int) -> float:
        """Return how long reading the same bytes takes, in the better of two orders."""
        return min(self.median_ms[name] for name in (READ_1 if threads == 1 else READ_2))

    def share_of_bandwidth(self, threads: int) -> float:
        """Return the read time over redvillm's."""
        return self.read_ms(threads) / self.median_ms[OWN_1 if threads == 1 else OWN_2]

    def gb_per_s(self, engine: str) -> float:
        """Return features per time."""
        return self.case.num_bytes / self.median_ms[engine] * 1e-6


_DTYPES = ("float32", "float16", "bfloat16")
_SHAPES = (
    ("nano", (8, 49, 1280)),
    ("nano", (16, 49, 1280)),
    ("nano", (64, 49, 1280)),
    ("CLIP-L", (16, 576, 1024)),
    ("CLIP-L", (100, 576, 1024)),
    ("SigLIP", (16, 1024, 768)),
    ("SigLIP", (64, 1024, 768)),
    ("bigG", (100, 1024, 1664)),
)
CASES = tuple(Case(model, shape, dtype) for model, shape in _SHAPES for dtype in _DTYPES)
QUICK_CASES = tuple(Case("tiny", (4, 35, 48), dtype) for dtype in _DTYPES)


def measure_case(case: Case, rounds: int, folder: Path, compiled: bool) -> CaseResult:
    """Time all engines that take the case's type, `rounds` times each and in turn, fewer times those that are very slow."""
    tensor = torch.randn(case.shape, generator=torch.Generator().manual_seed(0)).to(getattr(torch, case.dtype))
    engines = _engines(case, tensor, folder, compiled)
    for engine in engines.values():
        engine()
    samples: dict[str, list[float]] = {name: [] for name in engines}
    for _ in range(rounds):
        for name, engine in engines.items():
            if sum(samples[name]) < _MAX_SECONDS * 1e3:
                time.sleep(_PAUSE_S)
                for _ in range(_NUM_UNTIMED if case.num_bytes < _SMALL_BYTES else 0):
                    engine()
                samples[name].append(time_ms(engine))
    medians = {name: float(np.median(times)) for name, times in samples.items()}
    return CaseResult(case, medians, {name: len(times) for name, times in samples.items()})


def time_ms(function: Engine) -> float:
    """Call once; return milliseconds."""
    start_s = time.perf_counter()
    function()
    return (time.perf_counter() - start_s) * 1e3


def describe_versions() -> dict[str, str]:
    """Versions of all engines."""
    return {name: importlib.metadata.version(name) for name in ("redvillm", "numpy", "torch", "onnxruntime")}


def _engines(case: Case, tensor: torch.Tensor, folder: Path, compiled: bool) -> dict[str, Engine]:
    x = read_features("x", tensor, ("T", "N", "D"))
    out = (np.empty(case.shape[1:], np.float32), np.empty((case.shape[0], case.shape[2]), np.float32))
    memory = x.reshape(-1)[: x.size // 2 * 2].view(np.float32)
    read = load_native().read_memory

    def own(threads: int) -> Engine:
        return lambda: ops.spatio_temporal_pool(tensor, out=out, threads=threads)

    engines: dict[str, Engine] = {
        READ_1[0]: lambda: read(memory, 1, 1),
        READ_1[1]: lambda: read(memory, 4, 1),
        OWN_1: own(1),
        READ_2[0]: lambda: read(memory, 1, 2),
        READ_2[1]: lambda: read(memory, 4, 2),
        OWN_2: own(2),
        TORCH: lambda: both_means(tensor),
    }
    if compiled:
        torch.compiler.reset()  # of many sizes, torch compiles only the first few
        function = torch.compile(both_means, dynamic=False)
        engines[COMPILED] = lambda: function(tensor)
    if case.dtype != "bfloat16":  # neither numpy nor ONNX Runtime's ReduceMean on the processor has it
        engines[NUMPY] = lambda: (x.mean(0, dtype=np.float32), x.mean(1, dtype=np.float32))
        engines[ORT_1], engines[ORT_2] = (_onnxruntime_engine(x, folder, threads) for threads in (1, 2))
    return engines


def both_means(tensor: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return torch's two means, in the type of the tensor."""
    return tensor.mean(0), tensor.mean(1)


def _onnxruntime_engine(x: Any, folder: Path, threads: int) -> Engine:
    import onnxruntime

    path = folder / f"two_means_{x.dtype}.onnx"
    if not path.exists():
        _write_two_means(path, str(x.dtype))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    binding = session.io_binding()
    binding.bind_ortvalue_input("x", onnxruntime.OrtValue.ortvalue_from_numpy(x))
    for name in ("temporal_pooling", "spatial_pooling"):
        binding.bind_output(name)
    return lambda: session.run_with_iobinding(binding)


def _write_two_means(path: Path, dtype: str) -> None:
    import onnx
    from onnx import helper

    element = onnx.TensorProto.FLOAT if dtype == "float32" else onnx.TensorProto.FLOAT16
    nodes = []
    for axis, name in enumerate(("temporal_pooling", "spatial_pooling")):
        nodes.append(helper.make_node("ReduceMean", ["x", f"axis_{axis}"], [name], keepdims=0))
    axes = [helper.make_tensor(f"axis_{axis}", onnx.TensorProto.INT64, [1], [axis]) for axis in (0, 1)]
    inputs = [helper.make_tensor_value_info("x", element, "TND")]
    outputs = [helper.make_tensor_value_info(name, element, sizes) for name, sizes in (("temporal_pooling", "ND"), ("spatial_pooling", "TD"))]
    graph = helper.make_graph(nodes, "two_means", inputs, outputs, axes)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, path)
