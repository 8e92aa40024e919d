"""Files of JSON Lines that users write: one object a line, checked, with the line named in every error.

Knows the form; does not know what it is for.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from redvillm.errors import OptionsError

_MAX_LINE_CHARS = 1 << 20
JsonObject = dict[str, Any]
Item = TypeVar("Item")


def read_json_lines(path: Path, parse: Callable[[JsonObject, Path], Item], what: str) -> tuple[Item, ...]:
    """Read all lines of a file, in order; `parse` gets an object and the folder that its paths are relative to, and raises ValueError.

    Raises:
        OptionsError: not readable, no line, or a line that is not of the form; the message names the line.
    """
    try:
        items = tuple(_lines(path, parse, what))
    except (OSError, UnicodeDecodeError) as error:
        raise OptionsError(f"{path} cannot be read as a file of {what}s ({error}); it is JSON Lines in UTF-8, one {what} a line") from error
    if not items:
        raise OptionsError(f"{path} has no {what}; it is JSON Lines, one {what} a line")
    return items


def _lines(path: Path, parse: Callable[[JsonObject, Path], Item], what: str) -> Iterator[Item]:
    with path.open(encoding="utf-8") as stream:
        number = 0
        while line := stream.readline(_MAX_LINE_CHARS):
            number += 1
            if len(line) == _MAX_LINE_CHARS:
                raise OptionsError(f"{path}, line {number}: longer than {_MAX_LINE_CHARS} characters; one {what} a line")
            if line.strip():
                try:
                    yield parse(_object(line), path.parent.absolute())
                except (ValueError, TypeError, RecursionError) as error:
                    raise OptionsError(f"{path}, line {number}: {error}") from error


def _object(line: str) -> JsonObject:
    values = json.loads(line)
    if not isinstance(values, dict):
        raise ValueError("an object is wanted: {...}")
    return values


def check_keys(values: JsonObject, keys: frozenset[str]) -> None:
    """Refuse keys that are not known."""
    if unknown := sorted(values.keys() - keys):
        raise ValueError(f"unknown key {unknown[0]!r:.40}; the keys are {', '.join(sorted(keys))}")


def text(values: JsonObject, key: str) -> str:
    """Return a text that is not empty."""
    value = values.get(key)
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{key!r} is {value!r:.40}; a text is wanted")
    return value


def texts(values: JsonObject, key: str) -> tuple[str, ...]:
    """Return a list of texts, at least one, none empty."""
    value = values.get(key)
    if not isinstance(value, list) or not value or not all(isinstance(item, str) and item.strip() for item in value):
        raise ValueError(f"{key!r} is {value!r:.40}; a list of texts is wanted, at least one")
    return tuple(value)


def path_inside(folder: Path, name: str) -> Path:
    """Return the path of a name that must stay inside the folder."""
    place = PurePosixPath(name)
    if place.is_absolute() or ".." in place.parts or "\0" in name:
        raise ValueError(f"{name!r:.80} leads out of the folder of the file; give a path inside it")
    return folder / place
