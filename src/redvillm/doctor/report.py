"""All checks, as a table for people or as JSON for programs."""

import dataclasses
import json

from redvillm.doctor.check import Check, Status
from redvillm.doctor.installation import check_installation
from redvillm.doctor.openvino import check_openvino
from redvillm.doctor.pooling_op import check_pooling_op
from redvillm.doctor.providers import check_providers
from redvillm.doctor.storage import check_storage
from redvillm.doctor.targets import check_targets
from redvillm.doctor.video import check_video

_STYLES = {Status.OK: "green", Status.ABSENT: "dim", Status.WARNING: "yellow", Status.FAILURE: "bold red"}


def examine() -> list[Check]:
    """Look at the whole machine; takes some seconds, since every provider and camera is really tried."""
    providers = check_providers()
    others = [*check_openvino(), *check_targets(providers), *check_video(), *check_storage()]
    return [*check_installation(), *providers, check_pooling_op(), *others]


def can_run(checks: list[Check]) -> bool:
    """Return whether answers about a video can be had here, given a bundle."""
    return all(check.status is not Status.FAILURE for check in checks)


def run_doctor(*, as_json: bool) -> int:
    """Print the report; return the exit status: 0 if the main job can run here, or else 1."""
    checks = examine()
    if as_json:
        print(json.dumps({"can_run": can_run(checks), "checks": [dataclasses.asdict(check) for check in checks]}, ensure_ascii=False))
    else:
        _print_table(checks)
    return 0 if can_run(checks) else 1


def _print_table(checks: list[Check]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    table = Table(box=box.SIMPLE, title="redvillm doctor")
    for heading in ("what", "state", "found"):
        table.add_column(heading, overflow="fold")
    group = ""
    for check in checks:
        if check.group != group:
            group = check.group
            table.add_section()
            table.add_row(Text(group, style="bold"))
        found = Text(check.detail)
        if check.fix:
            found.append(f"\n-> {check.fix}", style="dim")
        table.add_row(f"  {check.name}", Text(check.status, style=_STYLES[check.status]), found)
    console.print(table)
    verdict = "redvillm can answer questions about video here" if can_run(checks) else "redvillm cannot run here yet: see the failures above"
    console.print(verdict, style="green" if can_run(checks) else "bold red", highlight=False)
