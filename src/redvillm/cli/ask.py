"""`redvillm ask`."""

import argparse

from redvillm.cli.options import Commands, add_frames, add_json, add_max_new_tokens, add_model, add_target, add_threads
from redvillm.cli.values import integer, real


def add_parser(commands: "Commands[argparse.ArgumentParser]", common: argparse.ArgumentParser) -> None:
    """Define the command."""
    parser = commands.add_parser(
        "ask",
        parents=[common],
        help="ask questions about a video file",
        description="Ask questions about a video file. Several questions share the work of looking at it.",
    )
    parser.add_argument("clip", metavar="CLIP", help="a video file, or sample:NAME for a clip of the zoo (fetched if absent)")
    parser.add_argument("questions", nargs="+", metavar="QUESTION", help="what to ask")
    add_model(parser)
    add_target(parser)
    add_frames(parser)
    add_max_new_tokens(parser, default=64)
    parser.add_argument("--temperature", type=real(0, 10), default=0.0, metavar="X", help="0 takes the likeliest token, more varies (default: 0)")
    parser.add_argument("--top-p", type=real(0, 1, above=True), default=1.0, metavar="X", help="sample from this share of probability (default: 1)")
    parser.add_argument("--seed", type=integer(0, (1 << 32) - 1), default=0, metavar="N", help="seed of the sampling (default: %(default)s)")
    add_threads(parser)
    add_json(parser, "print one JSON document with all answers, their timings and evidence")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Answer every question."""
    from redvillm.cli.clips import local_clip
    from redvillm.runtime.requests import AskRequest
    from redvillm.runtime.terminal import run_ask

    request = AskRequest(
        bundle=arguments.bundle,
        clip=local_clip(arguments.clip),
        questions=tuple(arguments.questions),
        num_frames=arguments.num_frames,
        max_new_tokens=arguments.max_new_tokens,
        temperature=arguments.temperature,
        top_p=arguments.top_p,
        seed=arguments.seed,
        threads=arguments.threads,
        target=arguments.target,
        as_json=arguments.as_json,
    )
    return run_ask(request)
