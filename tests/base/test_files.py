"""redvillm.files: the whole file or none of it, whatever interrupts the writer."""

import errno
import hashlib
import os
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


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR])
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
