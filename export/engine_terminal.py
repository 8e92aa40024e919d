"""Building engines in a terminal: a bar while TensorRT works, a line for each engine, and a table at the end.

Knows words and columns; does not know TensorRT.
"""

import sys
from collections.abc import Sequence
from functools import partial

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from redvillm.export.engine import BuildProgress, EngineReport, Existing
from redvillm.export.engine_bundle import EngineTask

_POOLINGS = {"plugin": "redvillm's plugin", "aot": "redvillm's kernel in the engine", "function": "standard layers"}


def run_tasks(tasks: Sequence[EngineTask], *, existing: Existing) -> int:
    """Build all engines, show how far it is on standard error and the table on standard output; return the exit status.

    Raises:
        As `build_engine`; engines that were built before it stay.
    """
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:.0f}/{task.total:.0f}"), TimeElapsedColumn())
    reports = []
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        for task in tasks:
            bar = bars.add_task(task.onnx.name, total=1)
            report = task.run(existing, partial(_advance, bars, bar, task.onnx.name))
            bars.remove_task(bar)
            console.print(f"{task.onnx.name}: {_done(report)}", markup=False, highlight=False, soft_wrap=True)
            for warning in report.warnings:
                console.print(f"  TensorRT: {warning.strip()}", markup=False, highlight=False, soft_wrap=True)
            reports.append((task, report))
    print(_table(reports))
    if existing != "check":
        print(f"the engines are in {tasks[0].folder}")
    if any(report.key.pooling == "plugin" and report.pooling_layers for _, report in reports) and not _has_cuda_kernels():
        words = "the plugin calls redvillm's CUDA kernels, without which this redvillm was built: the machine that runs the engine needs them"
        print(f"note: {words}, or an engine built with --pooling function", file=sys.stderr)
    return 0


def _advance(bars: Progress, bar: TaskID, name: str, step: BuildProgress) -> None:
    if not step.parent:  # phases have phases of their own, which come and go too fast to read
        bars.update(bar, description=f"{name}: {step.phase}", completed=step.step, total=max(step.num_steps, 1))


def _done(report: EngineReport) -> str:
    if report.state == "kept":
        return f"{report.path.name} is there already and was kept; --force builds it again"
    if report.state == "checked":
        return f"TensorRT takes it; {report.path.name} would be built"
    return f"built {report.path.name}"


def _table(reports: Sequence[tuple[EngineTask, EngineReport]]) -> str:
    rows = [("graph", "state", "seconds", "size", "layers", "pooling by", "engine")]
    for task, report in reports:
        size = f"{report.size_bytes / 1e6:.1f} MB" if report.size_bytes else "-"
        rows.append((task.name, report.state, f"{report.build_s:.1f}", size, str(len(report.layers)), _pooling(report), report.path.name))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    return "\n".join("  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]) for row in rows)


def _pooling(report: EngineReport) -> str:
    """What computes the pooling, as the parsed network says, not as was asked."""
    if not report.pooling_layers:
        return "-"
    kinds = {layer.type for layer in report.pooling_layers}
    return _POOLINGS[report.key.pooling if "PLUGIN_V3" in kinds else "function"]


def _has_cuda_kernels() -> bool:
    from redvillm.kernels.cuda_library import cuda_library_path

    return cuda_library_path() is not None
