"""Finding and checking a bundle on disk.

Knows folders and the manifest; does not load a graph.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from redvillm.errors import BundleFileError, OptionsError, RedvillmError
from redvillm.manifest import TARGETS, Manifest, read_manifest, verify_files
from redvillm.zoo import find_bundle

Verify = Literal["sizes", "sha256"]


@dataclass(frozen=True)
class Bundle:
    """A bundle whose files were checked."""

    folder: Path
    manifest: Manifest


def open_bundle(name_or_folder: str | os.PathLike[str], *, target: str, verify: Verify) -> Bundle:
    """Find a bundle by folder, or by the name of a model whose bundle was exported into the user's cache; check it.

    Raises:
        OptionsError: an unknown target or way to verify.
        BundleFileError: no bundle there, or a missing, altered or unexpected file.
        BundleSchemaError: an unreadable manifest.
        BundleTargetError: a bundle for another target.
    """
    if target not in TARGETS:
        raise OptionsError(f"target is {target!r:.40}; legal targets are {', '.join(TARGETS)}")
    if verify not in ("sizes", "sha256"):
        raise OptionsError(f"verify is {verify!r:.40}; give 'sizes' (fast) or 'sha256' (every byte)")
    try:
        folder = find_bundle(name_or_folder, target)
        manifest = read_manifest(folder, target=target)
        verify_files(folder, manifest, checksums=verify == "sha256")
    except (OSError, ValueError) as error:  # no permission, a name too long for the disk, a failing disk
        if isinstance(error, RedvillmError):
            raise
        raise BundleFileError(
            f"the bundle {str(name_or_folder)!r:.200} cannot be read: {error!s:.200}. Check its name and its permissions"
        ) from error
    return Bundle(folder, manifest)
