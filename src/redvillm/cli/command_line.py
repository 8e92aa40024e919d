"""The parser of all commands, and what becomes of an exception. Knows which commands there are; does not know what they do."""

import argparse
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from redvillm.cli import ask, bench, doctor, engine, evaluate, export, fetch, live, models, train, version
from redvillm.cli.interruption import Interruption
from redvillm.cli.missing import advice_for
from redvillm.errors import RedvillmError

EXIT_ERROR = 1
EXIT_BROKEN_PIPE = 128 + signal.SIGPIPE
_COMMANDS = (models, fetch, export, engine, ask, live, bench, evaluate, train, doctor, version)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser; every command stores its function under `run`."""
    # the suppressed default lets --debug stand before or after the command
    common = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    common.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser = argparse.ArgumentParser(
        prog="redvillm",
        description="Ask questions about a video or a live camera: a small Video LLM that runs on this machine.",
        epilog="First steps: redvillm fetch redvillm-nano, redvillm export redvillm-nano, redvillm ask sample:bikes 'What is happening?'",
        parents=[common],
    )
    parser.add_argument("--version", action=version.ShowVersion, nargs=0, help="print the version")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in _COMMANDS:
        command.add_parser(commands, common)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0 done, 1 an error (one line on stderr), 2 wrong usage, 130 interrupted."""
    debug = False
    with Interruption() as interruption:
        try:
            _replace_closed_streams()
            _soften_encoding()
            parsed = build_parser().parse_args(arguments)
            debug = getattr(parsed, "debug", False)
            status: int = parsed.run(parsed)
            sys.stdout.flush()
        except KeyboardInterrupt:
            return interruption.settle()
        except BrokenPipeError:
            return _broken_pipe()
        except Exception as error:
            if interruption.came:  # a library turned it into an error of its own
                return interruption.settle()
            if debug:
                traceback.print_exception(error)
            print(f"redvillm: error: {' '.join(_message(error).split())}", file=sys.stderr)
            return EXIT_ERROR
    return status


def _message(error: Exception) -> str:
    if isinstance(error, ModuleNotFoundError):
        return advice_for(error)
    if isinstance(error, RedvillmError | OSError):
        return str(error)
    return f"unexpected {type(error).__name__}: {error}. This is a defect of redvillm: run it again with --debug and report what it prints"


def _broken_pipe() -> int:
    # whoever read the output is gone: what is still buffered must go nowhere when Python closes the stream
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return EXIT_BROKEN_PIPE


def _replace_closed_streams() -> None:
    # a stream that was closed before the start is None; its number would go to the next file that is opened, and libraries write to numbers
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 - for the life of the process


def _soften_encoding() -> None:
    # a character that the terminal's encoding lacks is escaped rather than ending the answer with an error
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
