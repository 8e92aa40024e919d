"""The result of a fetch. Knows nothing of how it was come by."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """One file or folder that is now on this machine; `reused` if it had been there before, with the right bytes."""

    name: str
    path: Path
    size_bytes: int
    reused: bool
