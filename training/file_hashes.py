"""sha256 of files, kept between starts: a file is read again only if its size, inode or one of its times has changed.

Knows files; does not know what they are for.
"""

import json
from pathlib import Path
from typing import Any

from redvillm.files import atomic_file, sha256_of


class FileHashes:
    """Hashes that are kept in a file of JSON, absolute path -> stamp and sha256. Without it, or where it cannot be read, every file is read.

    The time of the last change of an inode (ctime) is part of the stamp because no program sets it: a file that was replaced by one of the same size,
    with its time of modification kept, is noticed.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._kept = path, _read(path)

    def sha256(self, path: Path) -> str:
        """Return the hexadecimal sha256 of a file."""
        name, status = str(path.absolute()), path.stat()
        stamp = [status.st_size, status.st_ino, status.st_mtime_ns, status.st_ctime_ns]
        kept = self._kept.get(name)
        if not isinstance(kept, dict) or kept.get("stamp") != stamp or not isinstance(kept.get("sha256"), str):
            kept = self._kept[name] = {"stamp": stamp, "sha256": sha256_of(path)}  # stamped before it is read: a change meanwhile is seen next time
        return str(kept["sha256"])

    def write(self) -> None:
        """Keep what is known for the next start."""
        with atomic_file(self._path) as temporary:
            temporary.write_text(json.dumps(self._kept, indent=1), encoding="utf-8")


def _read(path: Path) -> dict[str, Any]:
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}
