"""The command line `redvillm`: reads arguments, calls one function of another part, and turns errors into one line. No logic.

Imports of other parts are inside functions, so that `redvillm --help` answers at once.
"""

from redvillm.cli.main import main

__all__ = ["main"]
