"""The tables of the pooling benchmark and its JSON record. Knows figures; does not know how they were measured."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from rich import box
from rich.console import Console
from rich.table import Table

from redvillm.benchmarks.machine import Machine
from redvillm.benchmarks.pool_engines import COMPILED, NUMPY, ORT_1, ORT_2, OWN_1, OWN_2, TORCH, CaseResult
from redvillm.benchmarks.pool_streaming import Drift, PushResult, as_record

_ENGINES = (OWN_1, OWN_2, NUMPY, TORCH, COMPILED, ORT_1, ORT_2)


@dataclass(frozen=True, kw_only=True)
class PoolReport:
    """Everything that was measured, and on what."""

    machine: Machine
    kernels: str
    versions: dict[str, str]
    rounds: int
    cases: Sequence[CaseResult]
    pushes: Sequence[PushResult]
    drift: Drift

    def as_record(self) -> dict[str, object]:
        """Return plain figures for JSON."""
        cases = [
            {**asdict(row), "name": row.case.name, "num_bytes": row.case.num_bytes, "bandwidth_share": [row.share_of_bandwidth(n) for n in (1, 2)]}
            for row in self.cases
        ]
        streaming = [as_record(push) for push in self.pushes]
        about = {"machine": asdict(self.machine), "kernels": self.kernels, "versions": self.versions, "rounds": self.rounds}
        return {**about, "cases": cases, "streaming": streaming, "drift": asdict(self.drift)}


def print_tables(report: PoolReport, console: Console) -> None:
    """Print the pooling, the streaming and the drift."""
    machine = report.machine
    versions = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    console.print(f"{machine.processor}, {machine.num_cores} cores, {machine.memory_gb} GB, {machine.system}; {report.kernels}", highlight=False)
    console.print(f"{versions}; medians of {report.rounds} rounds, engines in turn; torch uses all cores", highlight=False)
    console.print(_pool_table(report.cases))
    console.print(_ratio_table(report.cases))
    console.print(_push_table(report.pushes))
    console.print(_drift_table(report.drift))


def _pool_table(rows: Sequence[CaseResult]) -> Table:
    table = _table("both means of X [T, N, D], milliseconds", "X", *_ENGINES)
    for row in rows:
        table.add_row(row.case.name, *(_ms(row.median_ms.get(engine)) for engine in _ENGINES))
    return table


def _ratio_table(rows: Sequence[CaseResult]) -> Table:
    headings = ("GB/s 1", "GB/s 2", "of read 1", "of read 2", "ORT 1 / own 1", "ORT 2 / own 2", "best ORT / own 2", "torch / own 2")
    table = _table("redvillm: bytes per time, share of the bandwidth of reading the same bytes, and times faster", "X", *headings)
    for row in rows:
        own_1, own_2 = row.median_ms[OWN_1], row.median_ms[OWN_2]
        ort_1, ort_2 = row.median_ms.get(ORT_1), row.median_ms.get(ORT_2)
        best = None if ort_1 is None or ort_2 is None else min(ort_1, ort_2)
        rates = [f"{row.gb_per_s(engine):.1f}" for engine in (OWN_1, OWN_2)]
        shares = [f"{row.share_of_bandwidth(threads):.0%}" for threads in (1, 2)]
        ratios = [_times(ort_1, own_1), _times(ort_2, own_2), _times(best, own_2), _times(row.median_ms[TORCH], own_2)]
        table.add_row(row.case.name, *rates, *shares, *ratios)
    return table


def _push_table(rows: Sequence[PushResult]) -> Table:
    table = _table("one frame into a window of T frames, milliseconds", "T, N, D", "push", "pool the window anew", "times faster", "T / 4", "MB kept")
    for row in rows:
        sizes = f"{row.num_frames}, {row.num_patches}, {row.width}"
        table.add_row(sizes, _ms(row.push_ms), _ms(row.anew_ms), f"{row.ratio:.1f}", f"{row.num_frames / 4:.0f}", f"{row.memory_mb:.1f}")
    return table


def _drift_table(drift: Drift) -> Table:
    table = _table(
        "worst error of the temporal pooling of 16 frames, over their mean magnitude", "kept as", *(f"{n} pushes" for n in drift.num_pushes[::8])
    )
    for name, errors in drift.error.items():
        table.add_row(name, *(f"{error:.1e}" if error else "0" for error in errors[::8]))
    return table


def _table(title: str, *headings: str) -> Table:
    table = Table(box=box.SIMPLE, title=title)
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="right" if number else "left", no_wrap=not number)
    return table


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.{0 if value >= 100 else 2 if value >= 1 else 3}f}"


def _times(other: float | None, own: float) -> str:
    return "-" if other is None else f"{other / own:.1f}x"
