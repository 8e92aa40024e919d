"""redvillm.files: the whole file or none of it, whatever interrupts the writer."""

import errno
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from redvillm.errors import StorageError
from redvillm.files import atomic_directory, atomic_file, sha256_of, storage_errors


class Interruption(BaseException):
    """Stands for Ctrl-C."""


def test_atomic_file_appears_whole(tmp_path: Path):
    path = tmp_path / "new" / "a.bin"
    with atomic_file(path) as temporary:
        temporary.write_bytes(b"first")
        assert not path.exists()
    assert path.read_bytes() == b"first"
    assert path.stat().st_mode & 0o777 == 0o644
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("failure", [ValueError, Interruption, KeyboardInterrupt])
def test_atomic_file_keeps_the_old_one_on_failure(tmp_path: Path, failure: type[BaseException]):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    with pytest.raises(failure), atomic_file(path) as temporary:
        temporary.write_bytes(b"half")
        raise failure
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_directory_is_not_replaced_by_a_file(tmp_path: Path):
    begun = False
    with pytest.raises(StorageError, match="directory"), atomic_file(tmp_path):
        begun = True
    assert not begun
    assert list(tmp_path.iterdir()) == []


def test_atomic_directory_appears_whole(tmp_path: Path):
    path = tmp_path / "deep" / "bundle"
    with atomic_directory(path) as temporary:
        (temporary / "a").write_text("1")
        assert not path.exists()
    assert [file.name for file in path.iterdir()] == ["a"]
    assert list(path.parent.iterdir()) == [path]


def test_atomic_directory_does_not_replace_unasked(tmp_path: Path):
    path = tmp_path / "bundle"
    path.mkdir()
    with pytest.raises(FileExistsError), atomic_directory(path):
        pass
    assert list(tmp_path.iterdir()) == [path]


def test_atomic_directory_replaces_on_success_only(tmp_path: Path):
    path = tmp_path / "bundle"
    path.mkdir()
    (path / "old").touch()
    with pytest.raises(Interruption), atomic_directory(path, replace=True) as temporary:
        (temporary / "half").touch()
        raise Interruption
    assert [file.name for file in path.iterdir()] == ["old"]
    with atomic_directory(path, replace=True) as temporary:
        (temporary / "new").touch()
    assert [file.name for file in path.iterdir()] == ["new"]
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_writer_left_is_removed_and_what_a_living_one_writes_is_not(tmp_path: Path):
    code = (
        "import os, pathlib, sys\n"
        "from redvillm.files import atomic_directory\n"
        "with atomic_directory(pathlib.Path(sys.argv[1])) as folder:\n"
        "    (folder / 'half').touch()\n"
        "    print(folder, flush=True)\n"
        "    sys.stdin.read()\n"
    )
    path, other = tmp_path / "bundle", tmp_path / ".bundle2.abcdefgh.part"
    other.mkdir()
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        half = Path(writer.stdout.readline().strip())
        with atomic_directory(path, replace=True):
            assert (half / "half").exists()
        writer.kill()
    assert half.exists()
    with atomic_directory(path, replace=True):
        assert not half.exists()
    assert sorted(tmp_path.iterdir()) == [other, path]


def test_the_old_directory_comes_back_when_the_new_one_cannot_have_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "bundle"
    path.mkdir()
    (path / "old").touch()
    rename = Path.rename

    def interrupted(self: Path, target: Path) -> Path:
        if self.suffix == ".part":
            raise Interruption
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(Interruption), atomic_directory(path, replace=True):
        pass
    assert [file.name for file in path.iterdir()] == ["old"]
    assert list(tmp_path.iterdir()) == [path]


def test_the_only_copy_left_by_a_killed_writer_is_kept(tmp_path: Path):
    path, retired = tmp_path / "bundle", tmp_path / ".bundle.abcdefgh.old"
    retired.mkdir()
    with atomic_directory(path):
        assert retired.exists()
    with atomic_directory(path, replace=True):
        assert not retired.exists()
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST])
def test_a_full_or_read_only_disk_is_said_in_words(tmp_path: Path, number: int):
    path = tmp_path / "missing" / "a.bin"
    with pytest.raises(StorageError, match=r"a\.bin"), storage_errors(path):
        raise OSError(number, os.strerror(number))


def test_other_os_errors_pass(tmp_path: Path):
    with pytest.raises(ConnectionResetError), storage_errors(tmp_path):
        raise ConnectionResetError(errno.ECONNRESET, "reset")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_really_full_device(tmp_path: Path):
    with pytest.raises(StorageError, match="no space left"), storage_errors(tmp_path / "a"), Path("/dev/full").open("wb", buffering=0) as stream:
        stream.write(b"x")


@pytest.mark.parametrize("size_bytes", [0, 1, 65_537, 1 << 20])
def test_sha256(tmp_path: Path, size_bytes: int):
    content = os.urandom(size_bytes)
    (tmp_path / "a").write_bytes(content)
    assert sha256_of(tmp_path / "a") == hashlib.sha256(content).hexdigest()
