"""`redvillm eval`."""

import argparse
from pathlib import Path

from redvillm.cli.options import Commands, add_frames, add_max_new_tokens, add_model, add_threads
from redvillm.cli.values import integer

_CONDITIONS = ("own video", "wrong video", "black video", "shuffled frames")


def add_parser(commands: "Commands[argparse.ArgumentParser]", common: argparse.ArgumentParser) -> None:
    """Define the command."""
    parser = commands.add_parser(
        "eval",
        parents=[common],
        help="count how many questions about videos a model answers rightly",
        description=(
            "Ask a bundle questions about videos, and count right answers by kind of question: on the own video, and on a wrong one, a black one "
            "and one with its frames shuffled, where a model that looks must do worse. Prints tables, then one line of JSON."
        ),
    )
    help_text = "JSON Lines, one question a line: video or frames, kind, question, answers"
    parser.add_argument("questions", type=Path, metavar="QUESTIONS", help=help_text)
    add_model(parser)
    help_text = "ask the torch model that NAME is exported from, to see what the export costs"
    parser.add_argument("--torch", action="store_true", dest="torch_model", help=help_text)
    parser.add_argument("--adapter", type=Path, metavar="FILE", help="with --torch: an adapter that 'redvillm train' wrote")
    add_frames(parser)
    add_max_new_tokens(parser, default=32)
    help_text = "show videos in this way only; may be repeated (default: all four)"
    parser.add_argument("--condition", action="append", choices=_CONDITIONS, dest="conditions", metavar="CONDITION", help=help_text)
    help_text = "ask so many questions at most, spread evenly over the file (default: all)"
    parser.add_argument("--limit", type=integer(1, 1 << 31), metavar="N", help=help_text)
    parser.add_argument("--seed", type=integer(0, 1 << 31), default=0, metavar="N", help="of the choice of wrong videos (default: %(default)s)")
    add_threads(parser)
    help_text = "write evaluation.json, evaluation.md, evaluation.png and answers.jsonl into this folder"
    parser.add_argument("--out", type=Path, metavar="FOLDER", help=help_text)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Ask, count and print."""
    from redvillm.benchmarks.evaluation.evaluator import CONDITIONS
    from redvillm.benchmarks.evaluation.request import EvaluationRequest
    from redvillm.benchmarks.evaluation.run import run_evaluation

    return run_evaluation(
        EvaluationRequest(
            bundle=arguments.bundle,
            torch_model=arguments.torch_model,
            adapter=arguments.adapter,
            questions=arguments.questions,
            conditions=tuple(arguments.conditions or CONDITIONS),
            limit=arguments.limit,
            num_frames=arguments.num_frames,
            max_new_tokens=arguments.max_new_tokens,
            threads=arguments.threads,
            seed=arguments.seed,
            out=arguments.out,
        )
    )
