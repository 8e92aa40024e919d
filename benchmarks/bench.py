"""`redvillm bench`: all engines alive at once and asked in turn, so that a slow moment of the machine meets all of them.

Joins workers, statistics and the report; does not know any engine.
"""

import contextlib
import platform
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from redvillm.benchmarks.engine import STAGES, Measurement, Task
from redvillm.benchmarks.machine import describe_machine
from redvillm.benchmarks.process import Worker
from redvillm.benchmarks.report import EngineReport, Report, print_report
from redvillm.benchmarks.requests import BenchRequest
from redvillm.benchmarks.statistics import summarize
from redvillm.errors import SourceNotFoundError
from redvillm.files import atomic_file, storage_errors

_DEFAULT_FRAMES = 16


def run_bench(request: BenchRequest) -> int:
    """Measure, print a table and one JSON line last, and write that line to `request.out`; return the exit status.

    Raises:
        SourceNotFoundError: no such clip.
        BackendError: an engine does not run.
        StorageError: `out` cannot be written.
    """
    if not Path(request.clip).is_file():
        raise SourceNotFoundError(f"there is no file {request.clip}; give the path of a clip, or sample:bikes")
    with contextlib.ExitStack() as stack:
        # a place that cannot be written is met before the measuring, not after it
        temporary = None if request.out is None else stack.enter_context(atomic_file(request.out))
        line = print_report(measure(request))
        if temporary is not None:
            with storage_errors(temporary):
                temporary.write_text(line + "\n", encoding="utf-8")
    return 0


def measure(request: BenchRequest) -> Report:
    """Run the warm-up and the measured rounds of all engines; progress goes to standard error."""
    task = Task(clip=request.clip, question=request.question, num_frames=request.num_frames or _DEFAULT_FRAMES, num_new_tokens=request.max_new_tokens)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with contextlib.ExitStack() as stack, Progress(*columns, console=Console(stderr=True)) as progress:
        workers = [stack.enter_context(Worker(name, request.bundle, request.threads, request.target)) for name in ("redvillm", *request.peers)]
        rounds = progress.add_task("measuring", total=request.warmup + request.runs)
        measurements: list[list[Measurement]] = [[] for _ in workers]
        for number in range(request.warmup + request.runs):
            for worker, kept in zip(workers, measurements, strict=True):
                measurement = worker.measure(task)
                if number >= request.warmup:
                    kept.append(measurement)
            progress.advance(rounds)
        engines = tuple(_engine_report(worker, kept) for worker, kept in zip(workers, measurements, strict=True))
    return Report(task=task, runs=request.runs, warmup=request.warmup, machine=describe_machine(), python=platform.python_version(), engines=engines)


def _engine_report(worker: Worker, measurements: list[Measurement]) -> EngineReport:
    stages = {key: summarize([one.stages_ms[key] for one in measurements]) for key, _ in STAGES if key in measurements[0].stages_ms}
    return EngineReport(
        description=worker.description,
        stages=stages,
        frames_per_s=summarize([one.frames_per_s for one in measurements]),
        peak_memory_mb=worker.peak_memory_mb,
        text=measurements[-1].text,
    )
