"""The report of a benchmark: a table for people, one JSON line for programs.

Knows figures; does not know how they were measured.
"""

import json
from dataclasses import asdict, dataclass

from rich import box
from rich.console import Console
from rich.table import Table

from redvillm.benchmarks.engine import STAGES, Description, Task
from redvillm.benchmarks.machine import Machine
from redvillm.benchmarks.statistics import Summary


@dataclass(frozen=True)
class EngineReport:
    """All figures of one engine."""

    description: Description
    stages: dict[str, Summary]
    frames_per_s: Summary
    peak_memory_mb: float
    text: str


@dataclass(frozen=True, kw_only=True)
class Report:
    """A benchmark; the first engine is redvillm, the others are its peers."""

    task: Task
    runs: int
    warmup: int
    machine: Machine
    python: str
    engines: tuple[EngineReport, ...]


def print_report(report: Report, console: Console | None = None) -> str:
    """Print the table, what ran, and the JSON line last; return that line."""
    console = console or Console()
    machine, task = report.machine, report.task
    console.print(
        f"{machine.processor}, {machine.num_cores} cores, {machine.memory_gb} GB, {machine.system}; {task.num_frames} frames, "
        f"{task.num_new_tokens} new tokens, {report.runs} runs after {report.warmup} for warm-up, engines in turn",
        highlight=False,
    )
    console.print(_table(report))
    for engine in report.engines:
        what = engine.description
        versions = ", ".join(f"{name} {version}" for name, version in what.versions.items())
        console.print(f"{what.engine}: {what.provider}, {what.precision}, {what.threads} threads; {versions}", highlight=False)
    line = json.dumps(asdict(report), ensure_ascii=False)
    print(line)
    return line


def _table(report: Report) -> Table:
    table = Table(box=box.SIMPLE, title="milliseconds, p50 / p95 / p99; ratio of p50 to that of redvillm")
    table.add_column("stage")
    for engine in report.engines:
        table.add_column(engine.description.engine, justify="right", no_wrap=True)
    for _ in report.engines[1:]:
        table.add_column("ratio", justify="right", header_style="dim")
    for key, name in STAGES:
        summaries = [engine.stages.get(key) for engine in report.engines]
        if any(summaries):
            table.add_row(name, *map(_cell, summaries), *(_ratio(summaries[0], other) for other in summaries[1:]))
    rates = [engine.frames_per_s for engine in report.engines]
    table.add_row("frames/s, without decoding", *(f"{rate.p50:.0f}" for rate in rates), *(_ratio(other, rates[0]) for other in rates[1:]))
    memory = [engine.peak_memory_mb for engine in report.engines]
    table.add_row("peak memory, MB", *(f"{value:.0f}" for value in memory), *(f"{value / memory[0]:.1f}x" for value in memory[1:]))
    return table


def _cell(summary: Summary | None) -> str:
    if summary is None:
        return "-"
    digits = 0 if summary.p50 >= 100 else 1 if summary.p50 >= 1 else 3
    return f"{summary.p50:.{digits}f} / {summary.p95:.{digits}f} / {summary.p99:.{digits}f}"


def _ratio(own: Summary | None, other: Summary | None) -> str:
    return "-" if own is None or other is None or own.p50 == 0 else f"{other.p50 / own.p50:.1f}x"
