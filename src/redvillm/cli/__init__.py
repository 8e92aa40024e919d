"""The command line `redvillm`: reads arguments, calls one function of another part, and turns errors into one line. No logic.

Imports of other parts are inside functions, so that `redvillm --help` answers at once.
"""

from collections.abc import Sequence

_EXIT_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0 done, 1 an error (one line on stderr), 2 wrong usage, 130 interrupted."""
    try:
        from redvillm.cli import command_line  # here, so that Ctrl-C meets no traceback during the imports either

        return command_line.main(arguments)
    except KeyboardInterrupt:
        return _EXIT_INTERRUPTED
