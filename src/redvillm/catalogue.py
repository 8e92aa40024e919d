"""The list that `redvillm models` prints: the zoo, and how much of it is on this machine. Verifies nothing and fetches nothing."""

import json
from dataclasses import asdict, dataclass

from redvillm import zoo
from redvillm.manifest import MANIFEST_NAME, TARGETS


@dataclass(frozen=True, kw_only=True)
class Item:
    """One line of the list."""

    name: str
    kind: str
    size_bytes: int
    state: str
    licence: str
    summary: str
    origin: str


def list_items() -> list[Item]:
    """Return the models, then the weights and clips."""
    return [*map(_model_item, zoo.MODELS), *map(_file_item, zoo.PINNED_FILES)]


def print_catalogue(*, as_json: bool) -> int:
    """Print the list as a table or as one JSON object; return the exit status."""
    items = list_items()
    if as_json:
        print(json.dumps({"cache": str(zoo.cache_root()), "models": [asdict(item) for item in items]}, ensure_ascii=False))
        return 0
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE)
    for heading in ("name", "size", "state", "what it is"):
        table.add_column(heading, justify="right" if heading == "size" else "left", overflow="fold", no_wrap=heading == "name")
    for item in items:
        table.add_row(item.name, f"{item.size_bytes / 1e6:.1f} MB", item.state, f"{item.summary}\nlicence: {item.licence}")
    console = Console()
    console.print(table)
    console.print(f"cache: {zoo.cache_root()}", markup=False, highlight=False, soft_wrap=True)
    return 0


def _model_item(model: zoo.Model) -> Item:
    parts = zoo.parts_of(model.name)
    targets = [target for target in TARGETS if (zoo.bundle_folder(model.name, target) / MANIFEST_NAME).is_file()]
    state = "fetched" if all(zoo.cached_path(part).is_file() for part in parts) else "not fetched"
    if targets:
        state = f"exported for {', '.join(targets)}"
    size_bytes = sum(part.size_bytes for part in parts)
    origin = " + ".join(part.name for part in parts)
    return Item(name=model.name, kind="model", size_bytes=size_bytes, state=state, licence=model.licence, summary=model.summary, origin=origin)


def _file_item(pinned: zoo.PinnedFile) -> Item:
    return Item(
        name=pinned.name,
        kind=pinned.kind,
        size_bytes=pinned.size_bytes,
        state="fetched" if zoo.cached_path(pinned).is_file() else "not fetched",
        licence=pinned.licence,
        summary=pinned.summary,
        origin=pinned.origin,
    )
