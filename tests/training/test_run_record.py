"""A run goes on with the same bytes only, and does not read them all again to know it."""

import hashlib
import json
import os
import time

import pytest

from redvillm.errors import OptionsError
from redvillm.training import file_hashes
from redvillm.training.options import TrainingOptions
from redvillm.training.run_record import check_run, record_run

TICK_S = 0.03  # the clock of a file system moves in steps of some milliseconds


@pytest.fixture
def options(tmp_path):
    (tmp_path / "questions.jsonl").write_text("questions")
    (tmp_path / "vision.pth").write_text("vision")
    (tmp_path / "llm").mkdir()
    for name in ("config.json", "model-1.safetensors", "model-2.safetensors"):
        (tmp_path / "llm" / name).write_text(name)
    return TrainingOptions(
        questions=(tmp_path / "questions.jsonl",),
        run=tmp_path / "run",
        vision_checkpoint=tmp_path / "vision.pth",
        language_checkpoint=tmp_path / "llm",
    )


@pytest.fixture
def read(monkeypatch):
    """Names of the files that were read."""
    names, sha256_of = [], file_hashes.sha256_of
    monkeypatch.setattr(file_hashes, "sha256_of", lambda path: (names.append(path.name), sha256_of(path))[1])
    return names


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


def test_a_file_is_read_once_and_again_only_when_it_was_touched(options, read):
    check_run(options)
    record_run(options)
    assert sorted(read) == ["config.json", "model-1.safetensors", "model-2.safetensors", "questions.jsonl", "vision.pth"]
    read.clear()
    for _ in range(2):
        check_run(options)
        record_run(options)
    assert read == []
    os.utime(options.language_checkpoint / "model-2.safetensors", ns=(1, 1))
    check_run(options)
    assert read == ["model-2.safetensors"]


def test_other_weights_of_the_same_size_and_time_are_refused(options):
    record_run(options)
    path = options.language_checkpoint / "model-1.safetensors"
    status = path.stat()
    time.sleep(TICK_S)
    path.write_text(path.read_text().swapcase())
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (status.st_size, status.st_mtime_ns)
    for _ in range(2):  # what was read now is not taken for what the run was begun with
        with pytest.raises(OptionsError, match="language_checkpoint"):
            check_run(options)
    time.sleep(TICK_S)
    path.write_text(path.read_text().swapcase())
    check_run(options)


def test_a_replaced_file_is_refused_although_both_are_older_than_the_run(options, tmp_path):
    other = tmp_path / "other"
    other.write_text(options.vision_checkpoint.read_text().swapcase())
    os.utime(other, ns=(5, 5))
    os.utime(options.vision_checkpoint, ns=(5, 5))
    record_run(options)
    other.rename(options.vision_checkpoint)
    with pytest.raises(OptionsError, match="vision_checkpoint"):
        check_run(options)


def test_a_run_that_was_begun_before_hashes_were_kept_goes_on(options, read):
    """Its record has the sha256 of each file, and that of a folder's listing."""
    record_run(options)
    record = json.loads((options.run / "run.json").read_text())
    listing = "\n".join(f"{name} {digest(name)}" for name in ("config.json", "model-1.safetensors", "model-2.safetensors"))
    assert record["language_checkpoint"] == digest(listing)
    assert record["vision_checkpoint"] == digest("vision")
    assert record["questions"] == [digest("questions")]
    (options.run / "hashes.json").unlink()
    read.clear()
    check_run(options)
    assert len(read) == 5


@pytest.mark.parametrize("damaged", ["", "[]", '{"PATH": 3}', '{"PATH": {"stamp": STAMP}}', '{"PATH": {"stamp": STAMP, "sha256": 7}}', "\xff"])
def test_hashes_that_cannot_be_read_are_made_again(options, read, damaged):
    record_run(options)
    path = options.vision_checkpoint.absolute()
    stamp = json.loads((options.run / "hashes.json").read_text())[str(path)]["stamp"]
    (options.run / "hashes.json").write_text(damaged.replace("PATH", str(path)).replace("STAMP", json.dumps(stamp)), encoding="latin-1")
    read.clear()
    check_run(options)
    assert "vision.pth" in read
