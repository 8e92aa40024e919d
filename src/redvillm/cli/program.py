"""What every `python -m redvillm...` program does with an error. Knows no program."""

import sys
from collections.abc import Callable

from redvillm.errors import RedvillmError

_INTERRUPTED = 130


def run_program(action: Callable[[], int]) -> int:
    """Return the exit status of `action`; 1 after an error, which is one line on stderr, and 130 after Ctrl-C."""
    try:
        return action()
    except RedvillmError as error:
        print(f"redvillm: error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("redvillm: interrupted", file=sys.stderr)
        return _INTERRUPTED
