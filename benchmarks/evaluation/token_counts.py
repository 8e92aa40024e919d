"""`python -m redvillm.benchmarks.evaluation.token_counts`: right answers over the number of visual tokens, on one model and the same questions.

Asks every question in several ways of showing the video (see schemes.py); prints a table, draws a plot, and prints one JSON line last. Joins the
parts; does not know how they work.
"""

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from redvillm.benchmarks.drawing import look, new_figure, write_png
from redvillm.benchmarks.evaluation.answers import is_right
from redvillm.benchmarks.evaluation.engine import Engine, read_image
from redvillm.benchmarks.evaluation.evaluator import Answers
from redvillm.benchmarks.evaluation.run import spread
from redvillm.benchmarks.evaluation.schemes import Scheme, parse_scheme, show
from redvillm.benchmarks.evaluation.summary import Share
from redvillm.benchmarks.palette import SERIES
from redvillm.cli.program import run_program
from redvillm.cli.values import integer
from redvillm.errors import OptionsError
from redvillm.files import atomic_file
from redvillm.question_set import DESCRIBE, VideoQuestion, read_question_set
from redvillm.zoo import DEFAULT_MODEL

_SCHEMES = ("pooled-1", "pooled-2", "pooled-4", "pooled-8", "pooled-16", "frames-2", "frames-4", "frames-8", "grid-2", "grid-3")


@dataclass(frozen=True)
class SchemeResult:
    """One way of showing: mean number of visual tokens, right answers by kind, and the mean of the kinds' shares."""

    scheme: str
    num_visual_tokens: float
    kinds: dict[str, Share]
    mean_share: float


def measure(engine: Answers, questions: Sequence[VideoQuestion], scheme: Scheme) -> SchemeResult:
    """Ask all questions that have right answers, in one way."""
    about: dict[tuple[Path, ...], list[VideoQuestion]] = defaultdict(list)
    for question in questions:
        about[question.media].append(question)
    outcomes: dict[str, list[bool]] = defaultdict(list)
    counts = []
    for media, asked in track(about.items(), description=str(scheme), console=Console(stderr=True), transient=True):
        prefix = show(engine, [read_image(path) for path in media] if asked[0].is_frames else media[0], scheme)
        counts.append(prefix.num_visual_tokens)
        for question in asked:
            outcomes[question.kind].append(is_right(engine.answer(prefix, question.question), question.answers))
    kinds = {kind: Share.of(right) for kind, right in outcomes.items()}
    return SchemeResult(str(scheme), sum(counts) / len(counts), kinds, sum(share.value for share in kinds.values()) / len(kinds))


def to_table(results: Sequence[SchemeResult]) -> Table:
    """Return kinds as rows and ways of showing as columns."""
    table = Table(title="right answers, %", title_justify="left")
    table.add_column("kind of question (n)")
    for result in results:
        table.add_column(f"{result.scheme}\n{result.num_visual_tokens:.0f} tokens", justify="right")
    for kind, share in results[0].kinds.items():
        table.add_row(f"{kind} ({share.count})", *(f"{100 * result.kinds[kind].value:.1f}" for result in results))
    table.add_row("mean of the kinds", *(f"{100 * result.mean_share:.1f}" for result in results))
    return table


def write_plot(results: Sequence[SchemeResult], path: Path) -> None:
    """Write a PNG of the mean share over the number of visual tokens."""
    with look():
        figure, (axes,) = new_figure(width=7.0, height=3.4)
        for color, form in zip(SERIES, ("pooled", "frames", "grid"), strict=False):
            points = sorted(
                (result.num_visual_tokens, 100 * result.mean_share, result.scheme) for result in results if result.scheme.startswith(form)
            )
            if points:
                tokens, shares, names = zip(*points, strict=True)
                axes.plot(tokens, shares, marker="o", color=color, label=form)
                for x, y, name in zip(tokens, shares, names, strict=True):
                    axes.annotate(name.rpartition("-")[2], (x, y), textcoords="offset points", xytext=(4, 4), fontsize=8)
        axes.set(xlabel="visual tokens", ylabel="% right, mean of the kinds")
        axes.legend(frameon=False)
    write_png(figure, path)


def main(arguments: list[str] | None = None) -> int:
    """Measure, print and draw; return 0, or 1 after an error."""
    description = "Count right answers over the number of visual tokens, on one model and the same questions."
    parser = argparse.ArgumentParser(prog="python -m redvillm.benchmarks.evaluation.token_counts", description=description)
    parser.add_argument("questions", type=Path, metavar="QUESTIONS", help="JSON Lines, as 'redvillm eval' reads them")
    parser.add_argument("--model", default=DEFAULT_MODEL, metavar="NAME|FOLDER", help="bundle (default: %(default)s)")
    parser.add_argument(
        "--show", action="append", metavar="WAY", help=f"pooled-N, frames-N or grid-N; may be repeated (default: {' '.join(_SCHEMES)})"
    )
    parser.add_argument(
        "--limit", type=integer(1, 1 << 31), metavar="N", help="ask so many questions at most, spread evenly over the file (default: all)"
    )
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="write token_counts.json and token_counts.png into this folder")
    given = parser.parse_args(arguments)
    return run_program(lambda: _compare(given))


def _compare(given: argparse.Namespace) -> int:
    schemes = [parse_scheme(text) for text in given.show or _SCHEMES]
    questions = [question for question in read_question_set(given.questions) if question.kind != DESCRIBE]
    if not questions:
        raise OptionsError(f"{given.questions} has descriptions only; questions with right answers are counted here")
    engine = Engine(given.model)
    results = [measure(engine, spread(questions, given.limit), scheme) for scheme in schemes]
    line = json.dumps({"about": engine.about, "schemes": [asdict(result) for result in results]}, ensure_ascii=False)
    Console(width=None if sys.stdout.isatty() else 200).print(to_table(results))
    if given.out is not None:
        write_plot(results, given.out / "token_counts.png")
        with atomic_file(given.out / "token_counts.json") as temporary:
            temporary.write_text(line + "\n", encoding="utf-8")
    print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
