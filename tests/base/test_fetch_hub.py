"""redvillm.fetch.hub, against a stand-in for huggingface_hub: arguments that reach it, and what becomes of its errors."""

import sys
import types
from pathlib import Path
from typing import Any

import pytest

from redvillm.errors import BackendError, FetchError, OfflineError, OptionsError, StorageError
from redvillm.fetch import fetch

COMMIT = "0123456789abcdef0123456789abcdef01234567"
ERRORS = {
    "GatedRepoError": OSError,
    "RepositoryNotFoundError": OSError,
    "RevisionNotFoundError": OSError,
    "LocalEntryNotFoundError": FileNotFoundError,
    "OfflineModeIsEnabled": ConnectionError,
    "HfHubHTTPError": OSError,
}


class Hub:
    def __init__(self, folder: Path) -> None:
        self.errors = types.ModuleType("huggingface_hub.errors")
        for name, base in ERRORS.items():
            setattr(self.errors, name, type(name, (base,), {}))
        self.module = types.ModuleType("huggingface_hub")
        self.module.errors = self.errors
        self.module.snapshot_download = self.snapshot_download
        self.folder = folder
        self.failure: Exception | None = None
        self.calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def snapshot_download(self, *arguments: Any, **options: Any) -> str:
        self.calls.append((arguments, options))
        if self.failure is not None:
            raise self.failure
        return str(self.folder)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Hub:
    stand_in = Hub(tmp_path / "snapshot")
    stand_in.folder.mkdir()
    (stand_in.folder / "model.safetensors").write_bytes(b"12345")
    monkeypatch.setitem(sys.modules, "huggingface_hub", stand_in.module)
    monkeypatch.setitem(sys.modules, "huggingface_hub.errors", stand_in.errors)
    return stand_in


def test_a_pinned_snapshot_without_pickles_or_code(hub: Hub, isolated_cache: Path):
    (fetched,) = fetch("hf:org/some.model-2b", revision=COMMIT)
    assert (fetched.path, fetched.size_bytes) == (hub.folder, 5)
    ((arguments, options),) = hub.calls
    assert arguments == ("org/some.model-2b",)
    assert options["revision"] == COMMIT
    assert Path(options["cache_dir"]).is_relative_to(isolated_cache)
    assert "*.safetensors" in options["allow_patterns"]
    assert not {"*.bin", "*.pt", "*.pth", "*.py", "*"} & set(options["allow_patterns"])


@pytest.mark.parametrize("revision", [None, "", "main", "v1.0", COMMIT[:-1], COMMIT.upper(), COMMIT + "0"])
def test_a_revision_that_is_no_commit(hub: Hub, revision: str | None):
    with pytest.raises(OptionsError, match="--revision COMMIT"):
        fetch("hf:org/name", revision=revision)
    assert hub.calls == []


@pytest.mark.parametrize("name", ["hf:", "hf:name", "hf:a/b/c", "hf:/x", "hf:../..x/", "hf:a b/c", "hf:é/c"])
def test_a_malformed_name(hub: Hub, name: str):
    with pytest.raises(OptionsError, match="hf:organisation/name"):
        fetch(name, revision=COMMIT)
    assert hub.calls == []


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("GatedRepoError", FetchError, "licence"),
        ("RepositoryNotFoundError", FetchError, "the hub has no"),
        ("RevisionNotFoundError", FetchError, COMMIT),
        ("LocalEntryNotFoundError", OfflineError, "checkpoint folder here by hand"),
        ("OfflineModeIsEnabled", OfflineError, "Check the network"),
        ("HfHubHTTPError", FetchError, "refused"),
    ],
)
def test_its_errors_are_ours(hub: Hub, name: str, kind: type[Exception], words: str):
    hub.failure = getattr(hub.errors, name)("many\nlines")
    with pytest.raises(kind, match=words) as caught:
        fetch("hf:org/name", revision=COMMIT)
    assert "\n" not in str(caught.value)


def test_a_full_disk(hub: Hub):
    hub.failure = OSError(28, "No space left on device")
    with pytest.raises(StorageError, match="no space left"):
        fetch("hf:org/name", revision=COMMIT)


def test_without_the_library(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(BackendError, match=r"redvillm\[export\]"):
        fetch("hf:org/name", revision=COMMIT)


def test_the_real_library_has_these_names():
    library = pytest.importorskip("huggingface_hub", reason="huggingface_hub comes with the extra export")
    assert callable(library.snapshot_download)
    from huggingface_hub import errors

    assert [name for name in ERRORS if not hasattr(errors, name)] == []
