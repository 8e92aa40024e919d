"""What a run folder was begun with, so that nothing of it is taken for another run's. Knows options and files; does not know stages."""

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

from redvillm.errors import OptionsError
from redvillm.files import atomic_file
from redvillm.training.file_hashes import FileHashes
from redvillm.training.options import TrainingOptions

_NAME, _HASHES = "run.json", "hashes.json"
_FREE = {"run", "held_out", "held_out_every", "held_out_clips", "checkpoint_every_s", "threads"}  # these do not change what is learned


def check_run(options: TrainingOptions) -> None:
    """Compare the options with those that the run folder was begun with, if it was; files are compared by their bytes.

    Raises:
        OptionsError: they differ, or the record cannot be read.
    """
    path = options.run / _NAME
    if not path.exists():
        return
    try:
        begun = dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise OptionsError(f"{path} cannot be read ({error}); choose another run folder") from error
    wanted = _record(options)
    if differing := sorted(name for name in wanted.keys() | begun.keys() if wanted.get(name) != begun.get(name)):
        raise OptionsError(f"{options.run} was begun with other {', '.join(differing)}; give what it was begun with, or choose another run folder")


def record_run(options: TrainingOptions) -> None:
    """Write down what the run folder is begun with."""
    with atomic_file(options.run / _NAME) as temporary:
        temporary.write_text(json.dumps(_record(options), indent=1), encoding="utf-8")


def _record(options: TrainingOptions) -> dict[str, Any]:
    values = {field.name: getattr(options, field.name) for field in dataclasses.fields(options) if field.name not in _FREE}
    hashes = FileHashes(options.run / _HASHES)  # weights can be many GB, and a run can be started often
    values["emphasis"] = options.emphasis and list(options.emphasis)
    files = {
        "questions": [hashes.sha256(path) for path in options.questions],
        "captions": [hashes.sha256(path) for path in options.captions],
        "vision_checkpoint": _fingerprint(options.vision_checkpoint, hashes),
        "language_checkpoint": _fingerprint(options.language_checkpoint, hashes),
        "start_from": None if options.start_from is None else hashes.sha256(options.start_from),
    }
    hashes.write()
    return values | files


def _fingerprint(path: Path, hashes: FileHashes) -> str:
    """Of a file its sha256, of a folder that of the fingerprints of its files."""
    if not path.is_dir():
        return hashes.sha256(path)
    listing = [f"{file.name} {hashes.sha256(file)}" for file in sorted(path.iterdir()) if file.is_file()]
    return hashlib.sha256("\n".join(listing).encode()).hexdigest()
