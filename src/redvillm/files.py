"""Writing files so that a reader sees the whole file or none of it.

Knows paths and bytes; does not know what is inside them.
"""

import contextlib
import errno
import fcntl
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from redvillm.errors import StorageError

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT}
_TRY_TO_LOCK = fcntl.LOCK_EX | fcntl.LOCK_NB
_NOT_WRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG}


@contextlib.contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Translate a full or read-only disk met while writing `path` into StorageError; other errors pass."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_SPACE:
            free_mb = shutil.disk_usage(_existing_parent(path)).free / 1e6
            raise StorageError(
                f"no space left while writing {path}: {free_mb:.0f} MB are free now, and it did not suffice; nothing was left under that name. "
                "Free some space and run it again"
            ) from error
        if error.errno in _NOT_WRITABLE:
            raise StorageError(f"cannot write {path}: {error.strerror}. Choose another place or change its permissions") from error
        raise


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` on success, remove it on any failure.

    Raises:
        StorageError: the disk is full or not writable, or `path` is a directory.
    """
    with storage_errors(path):
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
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
        _remove_leftovers(path)
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent))
        try:
            with _descriptor(temporary) as descriptor:
                with contextlib.suppress(OSError):  # a file system without locks: there, nobody removes leftovers either
                    fcntl.flock(descriptor, _TRY_TO_LOCK)
                yield temporary
                temporary.chmod(0o755)
                _exchange(path, temporary)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _exchange(path: Path, new: Path) -> None:
    """Give `new` the name `path`; what had it is removed afterwards, or gets it back."""
    if not path.exists():
        new.rename(path)
        return
    retired = new.with_suffix(".old")
    path.rename(retired)
    try:
        new.rename(path)
    except BaseException:
        if not path.exists():
            retired.rename(path)
        raise
    shutil.rmtree(retired, ignore_errors=True)


def _remove_leftovers(path: Path) -> None:
    """Remove the temporary directories that killed writers of `path` left behind; those of living ones are locked."""
    kinds = "part|old" if path.exists() else "part"  # killed between two renames: the old content is the only one there is
    pattern = re.compile(re.escape(f".{path.name}.") + rf"\w+\.({kinds})")
    for leftover in [entry for entry in path.parent.iterdir() if pattern.fullmatch(entry.name) and entry.is_dir()]:
        with contextlib.suppress(OSError), _descriptor(leftover) as descriptor:  # one that is locked, or gone meanwhile, is not ours to remove
            fcntl.flock(descriptor, _TRY_TO_LOCK)
            shutil.rmtree(leftover, ignore_errors=True)


@contextlib.contextmanager
def _descriptor(folder: Path) -> Iterator[int]:
    """Yield a descriptor of `folder`; the kernel drops a lock on it when the process ends, however it ends."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def sha256_of(path: Path) -> str:
    """Return the hexadecimal sha256 of a file, read in blocks."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _existing_parent(path: Path) -> Path:
    return next(parent for parent in path.absolute().parents if parent.exists())
