"""A temporary folder inside the cache that only one fetch uses at a time.

The kernel drops the lock of a killed process, so whoever holds it may remove what an earlier fetch left behind.
"""

import contextlib
import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from redvillm.fetch.progress import FetchProgress
from redvillm.files import storage_errors

_LOCK_NAME = "fetch.lock"
_FOLDER_NAME = "unfinished"


@contextlib.contextmanager
def scratch_folder(root: Path, progress: FetchProgress) -> Iterator[Path]:
    """Wait for the lock of the cache at `root`, remove what killed fetches left, and yield an empty folder on its file system.

    Raises:
        StorageError: the cache is not writable.
    """
    with contextlib.ExitStack() as stack:
        with storage_errors(root / _LOCK_NAME):
            root.mkdir(parents=True, exist_ok=True)
            lock = stack.enter_context((root / _LOCK_NAME).open("a"))
        _wait_for(lock.fileno(), progress)
        unfinished = root / _FOLDER_NAME
        with storage_errors(unfinished):
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir(exist_ok=True)
            folder = Path(tempfile.mkdtemp(dir=unfinished))
        stack.callback(shutil.rmtree, unfinished, ignore_errors=True)
        yield folder


def _wait_for(descriptor: int, progress: FetchProgress) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        progress.note("another fetch is running; waiting for it")
        fcntl.flock(descriptor, fcntl.LOCK_EX)
