"""`redvillm live`."""

import argparse

from redvillm.cli.options import Commands, add_json, add_max_new_tokens, add_model, add_target, add_threads
from redvillm.cli.values import duration_s, real


def add_parser(commands: "Commands[argparse.ArgumentParser]", common: argparse.ArgumentParser) -> None:
    """Define the command."""
    parser = commands.add_parser(
        "live",
        parents=[common],
        help="watch a camera, a file played at its own speed, or a network stream, and answer questions while it runs",
        description="Watch a source and answer questions while it runs: type them, or let a standing question repeat.",
    )
    help_text = "camera index, device path, video file, trace (.rvtrace), sample:NAME, or the address of a stream (default: %(default)s)"
    parser.add_argument("--source", default="0", metavar="SOURCE", help=help_text)
    add_model(parser)
    add_target(parser)
    parser.add_argument("--ask", action="append", default=[], dest="questions", metavar="QUESTION", help="a question to begin with; may be repeated")
    help_text = "a yes/no question that is asked again and again; told when its answer changes for good; may be repeated"
    parser.add_argument("--alert", action="append", default=[], dest="alerts", metavar="QUESTION", help=help_text)
    help_text = "repeat the questions of --ask: 2s, 500ms, 2 (seconds); also how often --alert looks (default for it: 1s)"
    parser.add_argument("--every", type=duration_s, dest="every_s", metavar="TIME", help=help_text)
    help_text = "answer from a window whose newest frame is at most so old; a younger one costs time (default: 1s)"
    parser.add_argument("--max-age", type=duration_s, dest="max_evidence_age_s", metavar="TIME", default=1.0, help=help_text)
    help_text = "frames looked at per second, at most (default: %(default)g)"
    parser.add_argument("--rate", type=real(0, 240, above=True), default=4.0, dest="rate_hz", metavar="HZ", help=help_text)
    help_text = "whether frames that look like the last encoded one are encoded all the same (default: %(default)s, they are not)"
    parser.add_argument("--gate", choices=("duplicates", "none"), default="duplicates", help=help_text)
    help_text = "what an answer rests on: the last frames, or also chunks of those before (default: %(default)s)"
    parser.add_argument("--window", choices=("rolling", "memory"), default="rolling", help=help_text)
    help_text = "play a file or a trace at its own speed, or as fast as it is perceived (default: %(default)s)"
    parser.add_argument("--speed", choices=("own", "max"), default="own", help=help_text)
    help_text = "write what perception is offered into a new trace, NAME.rvtrace, which --source plays again"
    parser.add_argument("--record", metavar="NAME.rvtrace", help=help_text)
    add_max_new_tokens(parser, default=48)
    add_threads(parser)
    parser.add_argument("--duration", type=duration_s, dest="duration_s", metavar="TIME", help="stop after this time")
    parser.add_argument("--loop", action="store_true", help="begin a file again at its end")
    add_json(parser, "print one JSON object per answer instead of the live view")
    parser.set_defaults(run=run, usage_error=parser.error)


def run(arguments: argparse.Namespace) -> int:
    """Watch until the source ends, the time is up, or Ctrl-C."""
    if arguments.every_s is not None and not arguments.questions and not arguments.alerts:
        arguments.usage_error("--every repeats the questions of --ask or --alert; give at least one of them")
    from redvillm.cli.clips import local_clip
    from redvillm.runtime.requests import LiveRequest
    from redvillm.runtime.terminal import run_live

    request = LiveRequest(
        bundle=arguments.bundle,
        source=local_clip(arguments.source),
        questions=tuple(arguments.questions),
        alerts=tuple(arguments.alerts),
        every_s=arguments.every_s,
        max_evidence_age_s=arguments.max_evidence_age_s,
        rate_hz=arguments.rate_hz,
        max_new_tokens=arguments.max_new_tokens,
        threads=arguments.threads,
        target=arguments.target,
        duration_s=arguments.duration_s,
        loop=arguments.loop,
        as_json=arguments.as_json,
        gate=arguments.gate,
        window=arguments.window,
        speed=arguments.speed,
        record=arguments.record,
    )
    return run_live(request)
