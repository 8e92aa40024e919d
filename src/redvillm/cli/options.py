"""Options that several commands share, defined once. Knows argparse only."""

import argparse

from redvillm.cli.values import integer
from redvillm.manifest import TARGETS
from redvillm.zoo import DEFAULT_MODEL

Commands = argparse._SubParsersAction  # argparse has no public name for what add_subparsers returns


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add --model, stored as `bundle`."""
    parser.add_argument(
        "--model",
        dest="bundle",
        default=DEFAULT_MODEL,
        metavar="NAME|FOLDER",
        help="an exported model of the zoo, or the folder of a bundle (default: %(default)s)",
    )


def add_target(parser: argparse.ArgumentParser) -> None:
    """Add --target."""
    help_text = "what the bundle was exported for, and runs on: %(choices)s (default: %(default)s)"
    parser.add_argument("--target", choices=TARGETS, default="cpu", metavar="TARGET", help=help_text)


def add_frames(parser: argparse.ArgumentParser) -> None:
    """Add --frames."""
    help_text = "frames taken from the clip, evenly spaced (default: as many as the model's window holds)"
    parser.add_argument("--frames", type=integer(1, 4096), dest="num_frames", metavar="N", help=help_text)


def add_max_new_tokens(parser: argparse.ArgumentParser, default: int) -> None:
    """Add --max-new-tokens."""
    help_text = "longest answer, in tokens (default: %(default)s)"
    parser.add_argument("--max-new-tokens", type=integer(1, 1 << 20), default=default, metavar="N", help=help_text)


def add_threads(parser: argparse.ArgumentParser) -> None:
    """Add --threads."""
    help_text = "CPU threads for the model (default: chosen for this machine)"
    parser.add_argument("--threads", type=integer(1, 1024), metavar="N", help=help_text)


def add_json(parser: argparse.ArgumentParser, help_text: str) -> None:
    """Add --json, stored as `as_json`."""
    parser.add_argument("--json", action="store_true", dest="as_json", help=help_text)
