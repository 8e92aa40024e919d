"""Which installed distributions provide a module, and whether several overwrite each other. Knows package metadata only."""

import importlib.metadata


def installed(names: tuple[str, ...]) -> dict[str, str]:
    """Return name and version of those of `names` that are installed."""
    found = {}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def repair_command(found: dict[str, str], keep: str) -> str:
    """Return the command that removes distributions sharing one module folder and installs `keep` whole again."""
    return f"python -m pip uninstall -y {' '.join(sorted(found))} && python -m pip install '{keep}'"
