"""A model of the Hugging Face hub, pinned to one commit, into the cache. Knows huggingface_hub; fetches no pickle and no code."""

import re
from pathlib import Path

from redvillm.errors import BackendError, FetchError, OfflineError, OptionsError
from redvillm.fetch.fetched import Fetched
from redvillm.files import storage_errors
from redvillm.zoo import cache_root

HUB_PREFIX = "hf:"
_PATTERNS = ("*.safetensors", "*.gguf", "*.json", "*.jinja", "*.txt", "*.model", "LICENSE*")


def fetch_snapshot(name: str, revision: str | None) -> Fetched:
    """Download the files of `hf:organisation/name` at the commit `revision`; huggingface_hub verifies and reuses what is there.

    Raises:
        OptionsError: a malformed name, or a revision that is not a commit.
        BackendError: huggingface_hub is not installed.
        OfflineError: the hub was not reached and the cache does not hold the snapshot.
        FetchError: no such model or commit, or no right to it.
        StorageError: the disk is full or not writable.
    """
    repository = name.removeprefix(HUB_PREFIX)
    if not re.fullmatch(r"[\w.-]{1,96}/[\w.-]{1,96}", repository, re.ASCII):
        raise OptionsError(f"{name!r:.120} is not a Hugging Face model; write it as hf:organisation/name")
    if revision is None or not re.fullmatch(r"[0-9a-f]{40}", revision):
        raise OptionsError(f"{name} needs --revision COMMIT (40 hexadecimal digits, lower case), so that the same weights come every time")
    target = cache_root() / "hub"
    with storage_errors(target):
        folder = Path(_snapshot(repository, revision, target))
    size_bytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return Fetched(name=name, path=folder, size_bytes=size_bytes, reused=False)


def _snapshot(repository: str, revision: str, target: Path) -> str:
    try:
        import huggingface_hub
        from huggingface_hub import errors
    except ImportError:
        raise BackendError("huggingface_hub is not installed; install it with: pip install 'redvillm[export]'") from None
    try:
        return str(huggingface_hub.snapshot_download(repository, revision=revision, cache_dir=target, allow_patterns=list(_PATTERNS)))
    except errors.GatedRepoError:
        raise FetchError(f"{repository} wants its licence accepted on its page and a login ('hf auth login'); do both, then fetch again") from None
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError):
        raise FetchError(f"the hub has no {repository} at commit {revision} (or it is private); check both on the model's page") from None
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled, ConnectionError) as error:
        raise OfflineError(
            f"the Hugging Face hub was not reached ({' '.join(str(error).split())[:200]}). Check the network; without one, copy the "
            "checkpoint folder here by hand and give its path instead of the name"
        ) from None
    except errors.HfHubHTTPError as error:
        raise FetchError(f"the Hugging Face hub refused {repository}: {' '.join(str(error).split())[:200]}; try again later") from None
