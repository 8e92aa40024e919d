"""The report of a live run as one HTML page: nothing is loaded from elsewhere, plots stand inside as SVG, light and dark follow the reader's system.

Knows figures and HTML; does not know how they were measured.
"""

from collections.abc import Mapping, Sequence
from html import escape
from importlib import resources

from redvillm.benchmarks.live_records import LATENCIES
from redvillm.benchmarks.live_report import LiveReport, how_measured, latency_cell, other_rows
from redvillm.benchmarks.palette import style_variables
from redvillm.benchmarks.verdict import Verdict

_TILES = (("ttft_ms", "ms from asking to the first token, p50"), ("frame_to_first_token_ms", "ms from the newest frame used to the first token, p50"))


def live_page(report: LiveReport, plots: Mapping[str, str]) -> str:
    """Return the page; `plots` are `<svg>` elements by name."""
    style = style_variables() + "\n" + resources.files("redvillm.benchmarks").joinpath("assets", "report.css").read_text(encoding="utf-8")
    machine = report.machine
    body = [
        "<h1>How fast does it answer about a live stream?</h1>",
        f"<p>{escape(how_measured(report))}.</p>",
        f"<p>{escape(machine.processor)}, {machine.num_cores} cores, {machine.memory_gb} GB, {escape(machine.system)}</p>",
        _tiles(report),
        "" if report.verdict is None else _verdict(report.verdict),
        "<h2>Latencies in milliseconds, p50 / p95 / p99</h2>",
        _latencies(report),
        "<h2>Stream and process</h2>",
        _others(report),
        "<h2>Plots</h2><p>Shaded: warm-up, not counted.</p>",
        *(f"<figure>{svg}</figure>" for svg in plots.values()),
        f"<footer>{escape('; '.join(f'{name} {value}' for name, value in report.what_ran.items()))}{_notes(report)}</footer>",
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>redvillm bench --stream</title><style>\n{style}</style></head>\n<body><main>\n" + "\n".join(body) + "\n</main></body></html>\n"
    )


def _tiles(report: LiveReport) -> str:
    first = report.variants[0]
    tiles = [(f"{first.latencies_ms[key].p50:.0f}", name) for key, name in _TILES if key in first.latencies_ms]
    if first.reused_share is not None:
        tiles.append((f"{first.reused_share:.0%}", "of answers found the visual prefix in the cache"))
    tiles.append((f"{first.used_fps:.1f}", "frames per second into the window"))
    if "ttft_ms" in report.gains:
        tiles.append((f"{report.gains['ttft_ms']:.1f}x", f"TTFT with {report.variants[1].name}"))
    cells = "".join(f'<div class="tile"><b>{escape(value)}</b><span>{escape(name)}</span></div>' for value, name in tiles)
    return f'<div class="tiles">{cells}</div>'


def _verdict(verdict: Verdict) -> str:
    rows = [(escape(check.name), escape(check.found), escape(check.line), _mark(check.passed)) for check in verdict.checks]
    return f'<h2>Verdict: {_mark(verdict.passed)}</h2><div class="verdict">{_table(("check", "found", "pass line", ""), rows)}</div>'


def _latencies(report: LiveReport) -> str:
    gains = report.gains
    rows = []
    for key, name in LATENCIES:
        cells = [latency_cell(variant.latencies_ms.get(key)) for variant in report.variants]
        rows.append((escape(name), *cells, *([f"{gains[key]:.2f}x" if key in gains else "-"] if gains else [])))
    return _table(("", *(escape(variant.name) for variant in report.variants), *(["ratio of p50"] if gains else [])), rows)


def _others(report: LiveReport) -> str:
    columns = [other_rows(variant) for variant in report.variants]
    rows = [(escape(row[0][0]), *(escape(value) for _, value in row)) for row in zip(*columns, strict=True)]
    return _table(("", *(escape(variant.name) for variant in report.variants)), rows)


def _notes(report: LiveReport) -> str:
    return "".join(f"<p>Note: {escape(note)}</p>" for note in report.notes)


def _mark(passed: bool) -> str:
    return '<span class="passed">passed</span>' if passed else '<span class="failed">FAILED</span>'


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Return a table of cells that are HTML already."""
    first = "".join(f"<th>{cell}</th>" for cell in head)
    rest = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{first}</tr></thead><tbody>{rest}</tbody></table></div>'
