"""`redvillm bench --stream`: load the model, run, report.

Joins run, summary, verdict and report; knows none of their insides.
"""

import contextlib
import importlib.util
import platform
from importlib import metadata
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

import redvillm
from redvillm.benchmarks.live_records import LiveRecord
from redvillm.benchmarks.live_report import LiveReport, print_live_report
from redvillm.benchmarks.live_requests import LiveBenchRequest
from redvillm.benchmarks.live_run import run_length_s, run_live
from redvillm.benchmarks.live_summary import summarize_variant
from redvillm.benchmarks.machine import describe_machine
from redvillm.benchmarks.verdict import judge
from redvillm.errors import OptionsError
from redvillm.files import storage_errors
from redvillm.runtime.model import Model

_PACKAGES = ("redvillm", "onnxruntime", "onnxruntime-gpu", "numpy", "opencv-python-headless")
_FAILED = 1


def run_live_bench(request: LiveBenchRequest) -> int:
    """Measure, print the tables and one JSON line last, write the folder `request.out`; return the exit status: 1 when the verdict is not passed.

    Raises:
        BundleError, SourceError, BackendError, QuestionError: what loading, opening and asking raise.
        OptionsError: plots are wanted and matplotlib is not installed.
        StorageError: `out` cannot be written.
    """
    if request.out is not None:
        _prepare(request.out)  # met before the measuring, not after it
    with redvillm.load(request.bundle, target=request.target, threads=request.threads, verify="sizes") as model:
        what_ran = _what_ran(model)
        with _progress(request) as progress:
            task = progress.add_task("measuring", total=run_length_s(request))
            record = run_live(model, request, lambda passed_s: progress.update(task, completed=passed_s))
    report = make_report(request, record, what_ran)
    line = print_live_report(report)
    if request.out is not None:
        from redvillm.benchmarks.live_folder import write_folder

        write_folder(request.out, report, record, line)
    return _FAILED if report.verdict is not None and not report.verdict.passed else 0


def make_report(request: LiveBenchRequest, record: LiveRecord, what_ran: dict[str, str]) -> LiveReport:
    """Return the report of a run."""
    return LiveReport(
        request=request,
        machine=describe_machine(),
        what_ran=what_ran,
        variants=tuple(summarize_variant(record, index, variant.name) for index, variant in enumerate(request.variants)),
        verdict=judge(record, request.duration_s) if request.has_verdict else None,
        notes=record.notes,
    )


def _prepare(folder: Path) -> None:
    if importlib.util.find_spec("matplotlib") is None:
        raise OptionsError("plots need matplotlib; install it with: python -m pip install 'redvillm[bench]', or leave --out away")
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)


def _what_ran(model: Model) -> dict[str, str]:
    manifest = model.manifest
    precision = ", ".join(f"{graph} {kind}" for graph, kind in manifest.precision.items())
    versions = {package: metadata.version(package) for package in _PACKAGES if _is_installed(package)}
    return {
        "model": manifest.name,
        **{f"{graph} on": words for graph, words in model.providers.items()},
        "precision": precision,
        "threads": str(model.threads),
        **versions,
        "python": platform.python_version(),
    }


def _is_installed(package: str) -> bool:
    with contextlib.suppress(metadata.PackageNotFoundError):
        metadata.version(package)
        return True
    return False


def _progress(request: LiveBenchRequest) -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(), console=Console(stderr=True), disable=request.duration_s < 1
    )
