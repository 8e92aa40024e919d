"""The comparison as tables, for a terminal and as Markdown for a page. Knows figures only."""

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from redvillm.benchmarks.engine import STAGES
from redvillm.benchmarks.peers.report import LANGUAGE, VISION, Column, PeerFigures, PeersReport

Rows = tuple[list[str], list[list[str]]]
_WHOLE = ("prompt_ms", "per_token_ms", "ttft_ms", "frame_to_answer_ms", "second_question_ttft_ms", "total_ms")


def tables_of(report: PeersReport) -> dict[str, Rows]:
    """Return head and rows of each part that was measured, by its title."""
    found: dict[str, Rows] = {}
    if report.language:
        found[_language_title(report)] = _rows(report.language, LANGUAGE, is_language=True)
    if report.vision:
        found["Vision encoder, one frame"] = _rows(report.vision, VISION, is_language=False)
    if report.whole is not None:
        found[f"A question about a clip, {report.whole.task.num_frames} frames, {report.whole.task.num_new_tokens} new tokens"] = _whole(report)
    return found


def notes_of(report: PeersReport) -> list[str]:
    """Return what a reader of the tables must know: machine, versions, method, and why an engine has no figures."""
    machine, bandwidth = report.machine, report.bandwidth
    notes = [
        f"{machine.processor}, {machine.num_cores} cores, {machine.system}; {report.threads} threads each; all engines alive and asked in turn, "
        f"medians of {report.rounds} rounds; in brackets how many times better than redvillm (below 1: worse).",
        f"Read bandwidth of the memory {bandwidth.bytes_per_s / 1e9:.1f} GB/s ({bandwidth.threads} threads, {bandwidth.method}); the share is weight "
        "bytes times tokens per second beside it.",
    ]
    for part, engines in (("language", report.language), ("vision", report.vision)):
        for engine in engines:
            if engine.reason is None:
                versions = ", ".join(f"{name} {version}" for name, version in engine.versions.items())
                notes.append(f"{engine.name} ({part}): {engine.precision}; {engine.provider}; {versions}.")
            else:
                notes.append(f"{engine.name} ({part}) has no figures: {engine.reason}")
    if report.whole_reason is not None:
        notes.append(f"The whole was not measured: {report.whole_reason}")
    return notes


def to_markdown(report: PeersReport) -> str:
    """Return the tables and notes as Markdown."""
    parts = []
    for title, (head, rows) in tables_of(report).items():
        lines = [f"### {title}", "", _line(head), _line(["---", *["---:"] * (len(head) - 1)]), *map(_line, rows), ""]
        parts += lines
    return "\n".join([*parts, *(f"- {note}" for note in notes_of(report)), ""])


def print_tables(report: PeersReport, console: Console) -> None:
    """Print the tables and notes."""
    for title, (head, rows) in tables_of(report).items():
        table = Table(box=box.SIMPLE, title=title)
        table.add_column(head[0], no_wrap=True)
        for cell in head[1:]:
            table.add_column(cell, justify="right")
        for row in rows:
            table.add_row(*row)
        console.print(table)
    for note in notes_of(report):
        console.print(note, highlight=False, markup=False)


def _language_title(report: PeersReport) -> str:
    context, question = report.context_tokens, report.question_tokens
    return (
        f"Language model: {context} tokens of context, {report.num_new_tokens} new tokens; TTFT of {context + question} tokens from scratch, "
        f"and of {question} tokens on {context} cached ones"
    )


def _rows(engines: Sequence[PeerFigures], columns: Sequence[Column], *, is_language: bool) -> Rows:
    own = engines[0]
    extra = ["share of the bandwidth limit", "leading tokens as fp32"] if is_language else ["cosine to torch fp32"]
    head = ["engine", "weights, MB", *(column.head for column in columns), *extra]
    rows = []
    for engine in engines:
        if engine.reason is not None:
            rows.append([engine.name, *["-"] * (len(head) - 1)])
            continue
        cells = [engine.name, f"{engine.weight_mb:.0f}", *(_cell(engine, own, column) for column in columns)]
        if is_language:
            cells.append("-" if engine.bandwidth_share is None else f"{engine.bandwidth_share:.0%}")
            cells.append("-" if engine.agreement is None else f"{engine.agreement:.0%}")
        else:
            cells.append("-" if engine.agreement is None else f"{engine.agreement:.4f}")
        rows.append(cells)
    return head, rows


def _cell(engine: PeerFigures, own: PeerFigures, column: Column) -> str:
    value = f"{engine.figures[column.key].p50:.{column.digits}f}"
    ratio = None if engine is own else engine.ratio_to(own, column)
    return value if ratio is None else f"{value} ({ratio:.2f}x)"


def _whole(report: PeersReport) -> Rows:
    assert report.whole is not None
    own, *others = report.whole.engines
    names = dict(STAGES)
    rows = []
    for key in _WHOLE:
        values = [engine.stages[key].p50 for engine in (own, *others)]
        rows.append([f"{names[key]}, ms", f"{values[0]:.1f}", *(f"{value:.1f} ({values[0] / value:.2f}x)" for value in values[1:])])
    memory = [engine.peak_memory_mb for engine in (own, *others)]
    rows.append(["peak memory, MB", f"{memory[0]:.0f}", *(f"{value:.0f} ({memory[0] / value:.2f}x)" for value in memory[1:])])
    return ["", *(engine.description.engine for engine in (own, *others))], rows


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
