"""Writing files so that a reader sees the whole file or none of it.

Knows paths and bytes; does not know what is inside them.
"""

import contextlib
import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from redvillm.errors import StorageError

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT}
_NOT_WRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR}


@contextlib.contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Translate a full or read-only disk met while writing `path` into StorageError; other errors pass."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_SPACE:
            free_mb = shutil.disk_usage(_existing_parent(path)).free / 1e6
            raise StorageError(
                f"no space left while writing {path} ({free_mb:.0f} MB free); nothing was left under that name. Free some space and run it again"
            ) from error
        if error.errno in _NOT_WRITABLE:
            raise StorageError(f"cannot write {path}: {error.strerror}. Choose another place or change its permissions") from error
        raise


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` on success, remove it on any failure.

    Raises:
        StorageError: the disk is full or not writable.
    """
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            temporary.chmod(0o644)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_directory(path: Path, *, replace: bool = False) -> Iterator[Path]:
    """Yield a temporary directory beside `path`; rename it to `path` on success, remove it on any failure.

    With `replace`, an existing directory of that name is kept until the new one is complete.

    Raises:
        StorageError: the disk is full or not writable.
        FileExistsError: `path` exists and `replace` is false.
    """
    if path.exists() and not replace:
        raise FileExistsError(f"{path} exists already")
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent))
        try:
            yield temporary
            temporary.chmod(0o755)
            if path.exists():
                retired = temporary.with_suffix(".old")
                path.rename(retired)
                temporary.rename(path)
                shutil.rmtree(retired)
            else:
                temporary.rename(path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def sha256_of(path: Path) -> str:
    """Return the hexadecimal sha256 of a file, read in blocks."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _existing_parent(path: Path) -> Path:
    return next(parent for parent in path.absolute().parents if parent.exists())
