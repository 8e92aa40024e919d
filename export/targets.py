"""The targets that bundles can be exported for. Knows names only."""

from redvillm.errors import ExportError, OptionsError
from redvillm.manifest import TARGETS


def check_target(target: str) -> None:
    """Check a target before anything is done.

    Raises:
        OptionsError: not one of TARGETS.
        ExportError: one that this version cannot export for.
    """
    if target not in TARGETS:
        raise OptionsError(f"{target!r} is not a target; legal targets are {', '.join(TARGETS)}")
    if target != "cpu":
        raise ExportError(f"bundles can be exported for target cpu only in this version, not for {target}; use --target cpu")
