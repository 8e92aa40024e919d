"""All engines of a part alive at once and asked in turn, so that a slow moment of the machine meets all of them alike.

Knows worker processes; does not know engines. An engine that fails is reported with its reason and has no figures.
"""

import contextlib
import fcntl
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from redvillm.benchmarks.process import WorkerProcess
from redvillm.errors import RedvillmError, StorageError

Start = Callable[[], WorkerProcess]


@dataclass
class Sampled:
    """What one engine gave: its description and one record per measured round, or the reason why there is none."""

    name: str
    description: dict[str, Any] = field(default_factory=dict)
    records: list[dict[str, Any]] = field(default_factory=list)
    reason: str | None = None


def sample_in_turn(
    starts: Mapping[str, Start],
    tasks: Sequence[Mapping[str, Any]],
    *,
    own: Mapping[str, Mapping[str, Any]],
    warmup: int,
    lock: Path | None,
    progress: Callable[[str], object],
) -> list[Sampled]:
    """Start every engine, give each of them every task in turn, and drop the records of the first `warmup` tasks.

    `own` adds to the tasks of an engine, by its name; `lock` is a file to lock while a round lasts.
    """
    sampled = {name: Sampled(name) for name in starts}
    with contextlib.ExitStack() as stack:
        workers: dict[str, WorkerProcess] = {}
        for name, start in starts.items():
            progress(f"starting {name}")
            with _reporting(sampled[name]):
                workers[name] = stack.enter_context(start())
                sampled[name].description = workers[name].greeting
        for number, task in enumerate(tasks):
            with locked(lock):
                for name, worker in workers.items():
                    if sampled[name].reason is not None:
                        continue
                    progress(f"round {number + 1} of {len(tasks)}: {name}")
                    with _reporting(sampled[name]):
                        record = worker.exchange({**task, **own.get(name, {})})
                        if number >= warmup:
                            sampled[name].records.append(record)
    return list(sampled.values())


@contextlib.contextmanager
def _reporting(sampled: Sampled) -> Iterator[None]:
    """Keep why an engine failed instead of ending the run: the others go on."""
    try:
        yield
    except (RedvillmError, json.JSONDecodeError) as error:
        sampled.reason = str(error)
        sampled.records.clear()


@contextlib.contextmanager
def locked(path: Path | None) -> Iterator[None]:
    """Hold an exclusive lock of a file, as `flock FILE` does.

    Raises:
        StorageError: the file cannot be opened.
    """
    if path is None:
        yield
        return
    try:
        file = path.open("a")
    except OSError as error:
        raise StorageError(f"the lock {path} cannot be opened: {error}") from error
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
