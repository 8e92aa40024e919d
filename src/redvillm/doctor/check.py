"""One line of the doctor's report. Knows nothing of what was looked at."""

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """What a check found: fine, optional and not there, lacking though the main job runs, or the main job cannot run."""

    OK = "ok"
    ABSENT = "absent"
    WARNING = "warning"
    FAILURE = "failure"


@dataclass(frozen=True, kw_only=True)
class Check:
    """What was looked at, what was found, and what to do about it (empty when there is nothing to do)."""

    group: str
    name: str
    status: Status
    detail: str
    fix: str = ""
