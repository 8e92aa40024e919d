"""An evaluation as tables, for the terminal and for Markdown. Knows figures and rich."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from redvillm.benchmarks.evaluation.evaluator import CONDITIONS
from redvillm.benchmarks.evaluation.summary import Evaluation, Share

_HEAD = ("kind of question", "right, own video", "95 % interval", "best single answer", *CONDITIONS[1:], "does not know", "n")
_NONE = "-"


def kind_rows(evaluation: Evaluation) -> list[tuple[str, ...]]:
    """Return the cells of all kinds."""
    rows = []
    for row in evaluation.kinds:
        own = row.shares.get("own video")
        interval = f"{own.low:.1%} - {own.high:.1%}" if own else _NONE
        others = [_percent(row.shares.get(condition)) for condition in CONDITIONS[1:]]
        count = own.count if own else max((share.count for share in row.shares.values()), default=0)
        rows.append((row.kind, _percent(own), interval, f"{row.baseline:.1%}", *others, _percent(row.declined), str(count)))
    return rows


def print_tables(evaluation: Evaluation, console: Console) -> None:
    """Print everything that people read."""
    table = Table(title="right answers", title_justify="left")
    for index, head in enumerate(_HEAD):
        table.add_column(head, justify="left" if index == 0 else "right")
    for row in kind_rows(evaluation):
        table.add_row(*row)
    if evaluation.kinds:
        console.print(table)
    for line in _sentences(evaluation):
        console.print(line, highlight=False)


def to_markdown(evaluation: Evaluation) -> str:
    """Return the same as Markdown."""
    lines: list[str] = []
    if evaluation.kinds:
        lines += _markdown_row(_HEAD), _markdown_row(["---", *["---:"] * (len(_HEAD) - 1)]), *map(_markdown_row, kind_rows(evaluation)), ""
    return "\n".join([*lines, *(f"- {line}" for line in _sentences(evaluation)), ""])


def _sentences(evaluation: Evaluation) -> list[str]:
    sentences = [f"captions, {name}: " + ", ".join(f"{key} {value:.3f}" for key, value in scores.items()) for name, scores in _captions(evaluation)]
    if (share := evaluation.preference) is not None:
        text = f"the own video makes its caption likelier than a wrong one: {share.value:.1%} ({share.low:.1%} - {share.high:.1%}, n {share.count})"
        sentences.append(text)
    return [*sentences, ", ".join(f"{key} {value}" for key, value in evaluation.about.items())]


def _captions(evaluation: Evaluation) -> Sequence[tuple[str, dict[str, float]]]:
    return [(name, scores) for name, scores in evaluation.captions.items()]


def _percent(share: Share | None) -> str:
    return _NONE if share is None else f"{share.value:.1%}"


def _markdown_row(cells: Sequence[Any]) -> str:
    return f"| {' | '.join(str(cell).replace('|', '/') for cell in cells)} |"
