"""`python -m redvillm.benchmarks.pool [--out FOLDER] [--quick]`: the pooling kernel beside its peers, streaming pushes, and drift.

Prints tables, then one JSON line. Joins measuring and reporting; knows no model.
"""

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from shutil import which

from rich.console import Console

from redvillm.benchmarks.machine import describe_machine
from redvillm.benchmarks.pool_engines import CASES, QUICK_CASES, describe_versions, measure_case
from redvillm.benchmarks.pool_plots import write_plots
from redvillm.benchmarks.pool_report import PoolReport, print_tables
from redvillm.benchmarks.pool_streaming import measure_drift, measure_push
from redvillm.kernels import describe_backend

_WINDOWS = (8, 16, 64, 128, 256, 512)
_FRAME_SIZES = ((49, 1280), (576, 1024))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m redvillm.benchmarks.pool", description="Compare the pooling kernel with its peers.")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="write pool.json and the pictures, PNG and SVG, into this folder")
    parser.add_argument("--quick", action="store_true", help="tiny sizes and few rounds: shows that it runs, not how fast it is")
    parser.add_argument("--no-compile", action="store_true", help="leave torch.compile out, which takes some seconds for every size")
    options = parser.parse_args(arguments)
    report = _measure(options.quick, which("c++") is not None and not options.no_compile)
    print_tables(report, Console(width=200))
    record = json.dumps(report.as_record())
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "pool.json").write_text(record + "\n", encoding="utf-8")
        write_plots(report, options.out)
    print(record)
    return 0


def _measure(quick: bool, compiled: bool) -> PoolReport:
    rounds = 3 if quick else 11
    with tempfile.TemporaryDirectory(prefix="redvillm-pool-") as folder:
        cases = [measure_case(case, rounds, Path(folder), compiled) for case in (QUICK_CASES if quick else CASES)]
    windows, sizes = ((2, 5), ((7, 33),)) if quick else (_WINDOWS, _FRAME_SIZES)
    return PoolReport(
        machine=describe_machine(),
        kernels=describe_backend(),
        versions=describe_versions(),
        rounds=rounds,
        cases=cases,
        pushes=[measure_push(num_frames, *size, rounds) for size in sizes for num_frames in windows],
        drift=measure_drift(300 if quick else 200_000),
    )


if __name__ == "__main__":
    raise SystemExit(main())
