"""A checkpoint folder that is already on this machine. Knows which files make one; does not read them."""

from pathlib import Path

from redvillm.errors import FetchError
from redvillm.fetch.fetched import Fetched

_CONFIG = "config.json"
_WEIGHTS = ("*.safetensors", "*.gguf")


def local_checkpoint(folder: Path) -> Fetched:
    """Return `folder` as it stands, if it looks like a Hugging Face checkpoint with weights that need no pickle.

    Raises:
        FetchError: it is not one; the message says what is missing.
    """
    if not (folder / _CONFIG).is_file():
        raise FetchError(f"{folder} is not a checkpoint folder: it holds no {_CONFIG}")
    weights = [path for pattern in _WEIGHTS for path in folder.glob(pattern)]
    if not weights:
        raise FetchError(f"{folder} holds no weights that can be read safely; wanted: {' or '.join(_WEIGHTS)} (pickled weights are not read)")
    return Fetched(name=str(folder), path=folder.absolute(), size_bytes=sum(path.stat().st_size for path in weights), reused=True)
