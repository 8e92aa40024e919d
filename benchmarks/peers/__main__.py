"""`python -m redvillm.benchmarks.peers`: redvillm and its peers on the same weights, in one command."""

import argparse
import contextlib
import importlib.util
import os
import sys
from pathlib import Path

from rich.console import Console

from redvillm.benchmarks.peers.request import PARTS, PeersRequest
from redvillm.cli.clips import local_clip
from redvillm.cli.program import run_program
from redvillm.cli.values import integer
from redvillm.errors import OptionsError
from redvillm.files import atomic_file
from redvillm.zoo import DEFAULT_MODEL, cache_root

_NOTHING_MEASURED = 1


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = argparse.ArgumentParser(
        prog="python -m redvillm.benchmarks.peers",
        description="Measure redvillm beside other engines on the same weights: each in an environment of its own, all alive, asked in turn.",
    )
    parser.add_argument("--model", dest="bundle", default=DEFAULT_MODEL, metavar="NAME|FOLDER", help="redvillm's bundle (default: %(default)s)")
    help_text = "a clip for the whole and for the vision encoder's frames (default: %(default)s)"
    parser.add_argument("--clip", default="sample:bikes", metavar="CLIP", help=help_text)
    parser.add_argument("--part", action="append", choices=PARTS, dest="parts", help="measure this part only; may be repeated")
    parser.add_argument("--peer", action="append", default=[], dest="peers", metavar="NAME", help="measure this peer only; may be repeated")
    parser.add_argument("--rounds", type=integer(1, 1000), default=5, metavar="N", help="measured rounds (default: %(default)s)")
    parser.add_argument("--warmup", type=integer(0, 1000), default=1, metavar="N", help="rounds before them (default: %(default)s)")
    parser.add_argument("--threads", type=integer(1, 1024), metavar="N", help="threads of every engine (default: one per core)")
    help_text = "use the environments in this folder as they are, and install nothing"
    parser.add_argument("--environments", type=Path, metavar="FOLDER", help=help_text)
    help_text = "where environments and converted weights are kept for the next run (default: the folder 'peers' of redvillm's cache)"
    parser.add_argument("--keep", type=Path, dest="folder", metavar="FOLDER", help=help_text)
    parser.add_argument("--lock", type=Path, metavar="FILE", help="lock this file during each round, as 'flock FILE' does, on a shared machine")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="write peers.md, peers.png and peers.json into this folder")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Measure, print tables and one JSON line last; return 0, 1 after an error, or when no peer of a part could be measured."""
    given = build_parser().parse_args(arguments)
    return run_program(lambda: _compare(given))


def _compare(given: argparse.Namespace) -> int:
    if given.out is not None and importlib.util.find_spec("matplotlib") is None:
        raise OptionsError("the plot needs matplotlib; install it with: python -m pip install 'redvillm[bench]', or leave --out away")
    if any(importlib.util.find_spec(library) is None for library in ("torch", "transformers")):
        raise OptionsError("weights are converted with torch and transformers; install them with: python -m pip install 'redvillm[export]'")
    request = PeersRequest(
        bundle=given.bundle,
        clip=local_clip(given.clip),
        folder=(given.folder or cache_root() / "peers").absolute(),
        parts=tuple(given.parts or PARTS),
        peers=tuple(given.peers),
        rounds=given.rounds,
        warmup=given.warmup,
        threads=given.threads or len(os.sched_getaffinity(0)),
        environments=given.environments,
        lock=given.lock,
        out=given.out,
    )
    from redvillm.benchmarks.peers.compare import Comparison
    from redvillm.benchmarks.peers.markdown import print_tables, to_markdown

    messages = Console(stderr=True)
    with messages.status("starting") if messages.is_terminal else contextlib.nullcontext() as status:
        progress = status.update if status is not None else lambda text: messages.print(text, highlight=False)
        report = Comparison(request, progress).run()
    print_tables(report, Console(width=None if sys.stdout.isatty() else 180))
    line = report.to_json()
    if request.out is not None:
        from redvillm.benchmarks.peers.plot import write_plot

        write_plot(report, request.out / "peers.png")
        for name, text in (("peers.md", to_markdown(report)), ("peers.json", line + "\n")):
            with atomic_file(request.out / name) as temporary:
                temporary.write_text(text, encoding="utf-8")
    print(line)
    parts = [part for part in (report.language, report.vision) if part]
    return 0 if all(any(engine.reason is None for engine in part[1:]) or len(part) == 1 for part in parts) else _NOTHING_MEASURED


if __name__ == "__main__":
    sys.exit(main())
