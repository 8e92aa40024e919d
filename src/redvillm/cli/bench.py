"""`redvillm bench`."""

import argparse
from pathlib import Path

from redvillm.cli.options import Commands, add_frames, add_max_new_tokens, add_model, add_target, add_threads
from redvillm.cli.values import duration_s, integer, real

_CLIP, _QUESTION = "sample:bikes", "What is happening in the video?"


def add_parser(commands: "Commands[argparse.ArgumentParser]", common: argparse.ArgumentParser) -> None:
    """Define the command."""
    parser = commands.add_parser(
        "bench",
        parents=[common],
        help="measure answers on this machine: every stage about a clip, or the latency of questions to a live stream",
        description=(
            "Measure every stage of an answer, from decoding the clip to the last token; or, with --stream, play a source live, ask it at given "
            "times and measure how late and how fresh the answers are. Prints a table, then one line of JSON."
        ),
    )
    help_text = f"a video file, or sample:NAME for a clip of the zoo (default: {_CLIP})"
    parser.add_argument("clip", nargs="?", metavar="CLIP", help=help_text)
    parser.add_argument("--question", metavar="TEXT", help=f"what is asked (default: {_QUESTION!r}; with --stream: a list of questions in turn)")
    add_model(parser)
    add_target(parser)
    add_frames(parser)
    add_max_new_tokens(parser, default=32)
    parser.add_argument("--runs", type=integer(1, 100_000), default=10, metavar="N", help="measured runs (default: %(default)s)")
    parser.add_argument("--warmup", type=integer(0, 100_000), default=2, metavar="N", help="runs before them (default: %(default)s)")
    add_threads(parser)
    help_text = "also measure a peer side by side (transformers); may be repeated"
    parser.add_argument("--peer", action="append", default=[], dest="peers", metavar="NAME", help=help_text)
    help_text = "also write the JSON line to this file; with --stream, a folder for the report, its plots and all records"
    parser.add_argument("--out", type=Path, metavar="FILE|FOLDER", help=help_text)
    _add_stream_options(parser.add_argument_group("live stream"))
    parser.set_defaults(run=run, usage_error=parser.error)


def _add_stream_options(group: "argparse._ArgumentGroup") -> None:
    help_text = "play this source live, a file again and again: whatever 'redvillm live --source' takes"
    group.add_argument("--stream", metavar="SOURCE", help=help_text)
    help_text = "measured time of each variant: 60s, 5m, 1h (default: 60s); from 10 minutes on the run ends with a verdict"
    group.add_argument("--duration", type=duration_s, default=60.0, dest="duration_s", metavar="TIME", help=help_text)
    help_text = "mean time between questions (default: 2s)"
    group.add_argument("--questions-every", type=duration_s, default=2.0, dest="every_s", metavar="TIME", help=help_text)
    help_text = "how questions are spread: poisson (at random) or regular (default: %(default)s)"
    group.add_argument("--arrivals", choices=("poisson", "regular"), default="poisson", help=help_text)
    group.add_argument("--seed", type=integer(0, 1 << 31), default=0, metavar="N", help="of the random times (default: %(default)s)")
    group.add_argument("--questions", type=Path, metavar="FILE", help="a text file with one question per line, asked in turn")
    help_text = "frames per second that may enter the window (default: %(default)g)"
    group.add_argument("--rate", type=real(0, 240, above=True), default=8.0, dest="rate_hz", metavar="HZ", help=help_text)
    help_text = "answer from a window in the cache whose newest frame is at most so old (default: 1s)"
    group.add_argument("--max-age", type=duration_s, default=1.0, dest="max_evidence_age_s", metavar="TIME", help=help_text)
    help_text = "what an answer rests on: the last frames, or also chunks of those before (default: %(default)s)"
    group.add_argument("--window", choices=("rolling", "memory"), default="rolling", help=help_text)
    help_text = "whether frames that look like the last encoded one are encoded all the same (default: %(default)s, they are not)"
    group.add_argument("--gate", choices=("duplicates", "none"), default="duplicates", help=help_text)
    help_text = "play a file or a trace at its own speed, or as fast as it is perceived (default: %(default)s)"
    group.add_argument("--speed", choices=("own", "max"), default="own", help=help_text)
    help_text = "run two variants in turn: with and without background prefill, the two windows, or with and without the duplicate gate"
    group.add_argument("--compare", choices=("prefill", "window", "gate"), help=help_text)
    help_text = "longest measured time before the next variant has its turn (default: 20s)"
    group.add_argument("--segment", type=duration_s, default=20.0, dest="segment_s", metavar="TIME", help=help_text)
    help_text = "time at the beginning of every segment that is not counted (default: 5s)"
    group.add_argument("--warmup-time", type=duration_s, default=5.0, dest="warmup_s", metavar="TIME", help=help_text)
    group.add_argument("--soak", action="store_true", help="end with a verdict however short the run; exit status 1 when it is not passed")


def run(arguments: argparse.Namespace) -> int:
    """Measure and print."""
    if arguments.stream is not None:
        if arguments.clip is not None or arguments.peers or arguments.num_frames is not None:
            arguments.usage_error("--stream plays a source; CLIP, --frames and --peer belong to the measurement of a clip")
        return _run_stream(arguments)
    from redvillm.benchmarks import run_bench
    from redvillm.benchmarks.requests import BenchRequest
    from redvillm.cli.clips import local_clip

    request = BenchRequest(
        bundle=arguments.bundle,
        clip=local_clip(arguments.clip or _CLIP),
        question=arguments.question or _QUESTION,
        num_frames=arguments.num_frames,
        max_new_tokens=arguments.max_new_tokens,
        runs=arguments.runs,
        warmup=arguments.warmup,
        threads=arguments.threads,
        target=arguments.target,
        peers=tuple(arguments.peers),
        out=arguments.out,
    )
    return run_bench(request)


def _run_stream(arguments: argparse.Namespace) -> int:
    if arguments.question is not None and arguments.questions is not None:
        arguments.usage_error("give --question or --questions, not both")
    from redvillm.benchmarks.live_bench import run_live_bench
    from redvillm.benchmarks.live_requests import QUESTIONS, LiveBenchRequest, read_questions
    from redvillm.cli.clips import local_clip

    listed = QUESTIONS if arguments.questions is None else read_questions(arguments.questions)
    request = LiveBenchRequest(
        bundle=arguments.bundle,
        source=local_clip(arguments.stream),
        questions=listed if arguments.question is None else (arguments.question,),
        duration_s=arguments.duration_s,
        warmup_s=arguments.warmup_s,
        segment_s=arguments.segment_s,
        every_s=arguments.every_s,
        arrivals=arguments.arrivals,
        seed=arguments.seed,
        rate_hz=arguments.rate_hz,
        max_evidence_age_s=arguments.max_evidence_age_s,
        max_new_tokens=arguments.max_new_tokens,
        threads=arguments.threads,
        target=arguments.target,
        window=arguments.window,
        gate=arguments.gate,
        speed=arguments.speed,
        compare=arguments.compare,
        soak=arguments.soak,
        out=arguments.out,
    )
    return run_live_bench(request)
