"""The folder that a live run leaves: the page, its plots as PNG, the figures, and every record they were made from. Knows files."""

import json
from dataclasses import asdict
from pathlib import Path

from redvillm.benchmarks.drawing import inline_svg, write_png
from redvillm.benchmarks.live_page import live_page
from redvillm.benchmarks.live_plots import plots_of
from redvillm.benchmarks.live_records import LiveRecord
from redvillm.benchmarks.live_report import LiveReport
from redvillm.files import atomic_file, storage_errors


def write_folder(folder: Path, report: LiveReport, record: LiveRecord, line: str) -> None:
    """Write report.html, one PNG per plot, report.json (`line`) and records.json.

    Raises:
        StorageError: the folder cannot be written.
    """
    figures = plots_of(record, [variant.name for variant in report.variants])
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    for name, figure in figures.items():
        write_png(figure, folder / f"{name}.png")
    _write(folder / "report.html", live_page(report, {name: inline_svg(figure, name) for name, figure in figures.items()}))
    _write(folder / "report.json", line + "\n")
    _write(folder / "records.json", json.dumps(asdict(record)) + "\n")


def _write(path: Path, text: str) -> None:
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
