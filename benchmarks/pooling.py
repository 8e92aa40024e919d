"""`python -m redvillm.benchmarks.pooling`: the pooling kernel beside numpy and torch, and a push into windows of many lengths.

All engines are called in turn, so that a slow moment of the machine meets all of them. Prints a table, then one JSON line. Knows no model.
"""

import json
import time
from collections.abc import Callable
from dataclasses import asdict

import numpy as np
import torch
from rich import box
from rich.console import Console
from rich.table import Table

from redvillm.benchmarks.machine import describe_machine
from redvillm.benchmarks.statistics import Summary, summarize
from redvillm.kernels import describe_backend, ops
from redvillm.kernels.streaming import StreamingPool

_SHAPES = ((16, 49, 1280), (100, 576, 1024))
_WINDOWS = (8, 16, 64, 128, 512)
_ROUNDS = 31


def main() -> int:
    """Measure and print."""
    console = Console()
    rows = {f"[{', '.join(map(str, shape))}] {dtype}": _pool_row(shape, dtype) for shape in _SHAPES for dtype in ("float32", "float16")}
    table = Table(box=box.SIMPLE, title="both means of X [T, N, D], milliseconds, median", min_width=90)
    for heading in ("X", "redvillm", "numpy", "torch", "numpy / redvillm", "torch / redvillm"):
        table.add_column(heading, justify="left" if heading == "X" else "right")
    for name, row in rows.items():
        own = row["redvillm"].p50
        table.add_row(name, *(f"{row[engine].p50:.3f}" for engine in row), *(f"{row[engine].p50 / own:.1f}x" for engine in ("numpy", "torch")))
    console.print(table)
    pushes = {num_frames: summarize(_push_times_ms(num_frames)) for num_frames in _WINDOWS}
    console.print("one push of [49, 1280] into a window of T frames, ms: " + ", ".join(f"T {key}: {value.p50:.3f}" for key, value in pushes.items()))
    machine = describe_machine()
    versions = f"numpy {np.__version__}, torch {torch.__version__}"
    console.print(f"{machine.processor}, {machine.num_cores} cores; {describe_backend()}; {versions}", highlight=False)
    figures = {name: {engine: asdict(summary) for engine, summary in row.items()} for name, row in rows.items()}
    print(json.dumps({"machine": asdict(machine), "pool_ms": figures, "push_ms": {key: asdict(value) for key, value in pushes.items()}}))
    return 0


def _pool_row(shape: tuple[int, int, int], dtype: str) -> dict[str, Summary]:
    x = np.random.default_rng(0).normal(size=shape).astype(dtype)
    tensor = torch.from_numpy(x)
    out = (np.empty(shape[1:], np.float32), np.empty((shape[0], shape[2]), np.float32))
    engines: dict[str, Callable[[], object]] = {
        "redvillm": lambda: ops.spatio_temporal_pool(x, out=out),
        "numpy": lambda: (x.mean(0, dtype=np.float32), x.mean(1, dtype=np.float32)),
        "torch": lambda: (tensor.mean(0, dtype=torch.float32), tensor.mean(1, dtype=torch.float32)),
    }
    samples: dict[str, list[float]] = {name: [] for name in engines}
    for number in range(_ROUNDS + 3):
        for name, engine in engines.items():
            elapsed_ms = _time_ms(engine)
            if number >= 3:
                samples[name].append(elapsed_ms)
    return {name: summarize(times) for name, times in samples.items()}


def _push_times_ms(num_frames: int) -> list[float]:
    window = StreamingPool(num_frames, 49, 1280, 4)
    frames = np.random.default_rng(0).random((8, 49, 1280), dtype=np.float32)
    for number in range(num_frames):
        window.push(frames[number % 8])
    return [_time_ms(lambda number=number: window.push(frames[number % 8])) for number in range(200)]  # type: ignore[misc]


def _time_ms(function: Callable[[], object]) -> float:
    start_s = time.perf_counter()
    function()
    return (time.perf_counter() - start_s) * 1e3


if __name__ == "__main__":
    raise SystemExit(main())
