"""`redvillm bench`."""

import argparse
from pathlib import Path

from redvillm.cli.options import Commands, add_frames, add_max_new_tokens, add_model, add_threads
from redvillm.cli.values import integer


def add_parser(commands: "Commands[argparse.ArgumentParser]", common: argparse.ArgumentParser) -> None:
    """Define the command."""
    parser = commands.add_parser(
        "bench",
        parents=[common],
        help="measure every stage of an answer on this machine",
        description="Measure every stage of an answer, from decoding the clip to the last token; print a table, then one line of JSON.",
    )
    help_text = "a video file, or sample:NAME for a clip of the zoo (default: %(default)s)"
    parser.add_argument("clip", nargs="?", default="sample:bikes", metavar="CLIP", help=help_text)
    parser.add_argument("--question", default="What is happening in the video?", metavar="TEXT", help="what is asked (default: %(default)s)")
    add_model(parser)
    add_frames(parser)
    add_max_new_tokens(parser, default=32)
    parser.add_argument("--runs", type=integer(1, 100_000), default=10, metavar="N", help="measured runs (default: %(default)s)")
    parser.add_argument("--warmup", type=integer(0, 100_000), default=2, metavar="N", help="runs before them (default: %(default)s)")
    add_threads(parser)
    help_text = "also measure a peer side by side (transformers); may be repeated"
    parser.add_argument("--peer", action="append", default=[], dest="peers", metavar="NAME", help=help_text)
    parser.add_argument("--out", type=Path, metavar="FILE", help="also write the JSON line to this file")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Measure and print."""
    from redvillm.benchmarks import run_bench
    from redvillm.benchmarks.requests import BenchRequest
    from redvillm.cli.clips import local_clip

    request = BenchRequest(
        bundle=arguments.bundle,
        clip=local_clip(arguments.clip),
        question=arguments.question,
        num_frames=arguments.num_frames,
        max_new_tokens=arguments.max_new_tokens,
        runs=arguments.runs,
        warmup=arguments.warmup,
        threads=arguments.threads,
        peers=tuple(arguments.peers),
        out=arguments.out,
    )
    return run_bench(request)
