"""The report of a live run: tables for people, one JSON line for programs. Knows figures; does not know how they were measured."""

import json
import sys
from dataclasses import asdict, dataclass, field
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from redvillm.benchmarks.live_records import LATENCIES
from redvillm.benchmarks.live_requests import LiveBenchRequest
from redvillm.benchmarks.live_summary import VariantSummary
from redvillm.benchmarks.machine import Machine
from redvillm.benchmarks.statistics import Summary
from redvillm.benchmarks.verdict import Verdict


@dataclass(frozen=True, kw_only=True)
class LiveReport:
    """Everything that the run gave, ready to be shown; `what_ran` are provider, precision, threads and versions."""

    request: LiveBenchRequest
    machine: Machine
    what_ran: dict[str, str]
    variants: tuple[VariantSummary, ...]
    verdict: Verdict | None
    notes: tuple[str, ...] = field(default=())

    @property
    def gains(self) -> dict[str, float]:
        """How many times the p50 of the first variant goes into that of the second, by latency; empty with one variant."""
        if len(self.variants) != 2:
            return {}
        first, second = (variant.latencies_ms for variant in self.variants)
        return {key: second[key].p50 / first[key].p50 for key, _ in LATENCIES if key in first and key in second and first[key].p50 > 0}

    def to_json(self) -> str:
        """Return all figures as one line."""
        record: dict[str, Any] = {
            "kind": "redvillm bench --stream",
            "request": _plain(self.request),
            "machine": asdict(self.machine),
            "what_ran": self.what_ran,
            "variants": [asdict(variant) for variant in self.variants],
            "gains_of_first": self.gains,
            "verdict": None if self.verdict is None else {"passed": self.verdict.passed, "checks": [asdict(check) for check in self.verdict.checks]},
            "notes": self.notes,
        }
        return json.dumps(record, ensure_ascii=False)


def how_measured(report: LiveReport) -> str:
    """Say in a sentence how the figures came about."""
    request = report.request
    turns = f"{request.segments_per_variant} segments of each variant in turn, " if len(report.variants) > 1 else ""
    spread = "at random (Poisson)" if request.arrivals == "poisson" else "at equal intervals"
    return (
        f"{request.source}, {turns}{request.duration_s:g} s measured after {request.warmup_s:g} s of warm-up, a question every {request.every_s:g} s "
        f"{spread}, seed {request.seed}, at most {request.rate_hz:g} frames/s looked at, {_how_seen(request)}, answers of at most "
        f"{request.max_new_tokens} tokens"
    )


def _how_seen(request: LiveBenchRequest) -> str:
    """Say what all variants have in common."""
    words = {"window": f"window {request.window}", "gate": f"gate {request.gate}", "speed": f"speed {request.speed}"}
    return ", ".join(text for name, text in words.items() if name != request.compare)


def latency_cell(summary: Summary | None) -> str:
    """Return p50 / p95 / p99 with three digits or so."""
    if summary is None:
        return "-"
    digits = 0 if summary.p95 >= 100 else 1
    return f"{summary.p50:.{digits}f} / {summary.p95:.{digits}f} / {summary.p99:.{digits}f}"


def other_rows(variant: VariantSummary) -> list[tuple[str, str]]:
    """Return the figures that are not latencies, name and value."""
    tokens = variant.num_visual_tokens
    drops = ", ".join(f"{reason} {rate:.1f}" for reason, rate in variant.drops_per_s.items()) or "none"
    return [
        ("answers (failed or refused)", f"{variant.num_answers} ({variant.num_failed})"),
        ("visual prefix was in the cache", "-" if variant.reused_share is None else f"{variant.reused_share:.0%}"),
        ("visual tokens", "-" if tokens is None else f"{tokens.p50:.0f}"),
        ("frames/s captured, used", f"{variant.captured_fps:.1f}, {variant.used_fps:.1f}"),
        ("drops per second", drops),
        ("processor cores used, by others", f"{variant.cpu_cores:.3f}, {variant.other_cpu_cores:.2f}"),
        ("peak memory, MB", f"{variant.peak_rss_mb:.0f}"),
        ("threads, file descriptors, at most", f"{variant.max_threads}, {variant.max_descriptors}"),
    ]


def print_live_report(report: LiveReport, console: Console | None = None) -> str:
    """Print the tables, the verdict, and the JSON line last; return that line."""
    console = console or Console(width=None if sys.stdout.isatty() else 140)
    machine = report.machine
    console.print(f"{machine.processor}, {machine.num_cores} cores, {machine.memory_gb} GB, {machine.system}", highlight=False)
    console.print(how_measured(report), highlight=False)
    console.print(_table(report))
    console.print("; ".join(f"{name} {value}" for name, value in report.what_ran.items()), highlight=False)
    for note in report.notes:
        console.print(f"note: {note}", highlight=False)
    if report.verdict is not None:
        console.print(_verdict_table(report.verdict))
    line = report.to_json()
    print(line)
    return line


def _table(report: LiveReport) -> Table:
    table = Table(box=box.SIMPLE, title="milliseconds, p50 / p95 / p99")
    table.add_column("", no_wrap=True)
    for variant in report.variants:
        table.add_column(variant.name, justify="right", no_wrap=True)
    gains = report.gains
    if gains:
        table.add_column("ratio of p50", justify="right", header_style="dim")
    for key, name in LATENCIES:
        cells = [latency_cell(variant.latencies_ms.get(key)) for variant in report.variants]
        table.add_row(name, *cells, *([f"{gains[key]:.2f}x" if key in gains else "-"] if gains else []))
    for rows in zip(*(other_rows(variant) for variant in report.variants), strict=True):
        table.add_row(rows[0][0], *(value for _, value in rows))
    return table


def _verdict_table(verdict: Verdict) -> Table:
    table = Table("check", "found", "pass line", "", box=box.SIMPLE, title=f"verdict: {'passed' if verdict.passed else 'FAILED'}")
    for check in verdict.checks:
        table.add_row(check.name, check.found, check.line, "passed" if check.passed else "FAILED")
    return table


def _plain(request: LiveBenchRequest) -> dict[str, Any]:
    return {**asdict(request), "out": None if request.out is None else str(request.out)}
