"""A checkpoint of an Image LLM as transformers has it: a folder, or a name on the Hugging Face hub.

Weights are mapped, not copied, in the type in which they are stored, and read shard by shard; pickled ones with `weights_only`. Knows transformers'
loaders; does not know families. Nothing of a checkpoint is ever executed but its chat template, in a sandbox.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from redvillm.errors import ExportError, FetchError, OfflineError, RedvillmError
from redvillm.export.image_llm import Processing
from redvillm.files import sha256_of
from redvillm.manifest import WeightOrigin

_SAFE, _PICKLED = "*.safetensors", "*.bin"
_WEIGHTS = {"model.safetensors.index.json": _SAFE, "pytorch_model.bin.index.json": _PICKLED}  # by their indices, those first that are taken first
_FILES = ("*.json", "*.jinja", "*.model", "*.txt", _SAFE)
_OTHER_FORMS = ("onnx/*", "openvino/*", "coreml/*", "original/*", "*consolidated.*", "*openvino_*")  # the same weights, for other programs
_IMAGE_PROCESSOR_FILES = ("preprocessor_config.json", "processor_config.json")
_TEMPLATE_FILES = ("chat_template.jinja", "chat_template.json")


@dataclass(frozen=True)
class Checkpoint:
    """A folder with config.json; `origin` says where it came from."""

    folder: Path
    origin: str

    @property
    def config(self) -> dict[str, Any]:
        """config.json.

        Raises:
            ExportError: there is none, or it is no object of JSON.
        """
        path = self.folder / "config.json"
        if not path.is_file():
            raise ExportError(f"{self.folder} has no config.json; give the folder of a checkpoint as transformers saves it")
        try:
            config = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ExportError(f"{path} cannot be read ({error}); fetch the checkpoint again") from error
        if not isinstance(config, dict) or not isinstance(config.get("model_type"), str):
            raise ExportError(f"{path} does not say which model_type it is of; fetch the checkpoint again")
        return config

    def weight_files(self) -> list[Path]:
        """Return the shards, complete as the index lists them.

        Raises:
            ExportError: there are none, or one is missing.
        """
        for name, pattern in _WEIGHTS.items():
            if (index := self.folder / name).is_file():
                shards = _shards(index)
                if missing := sorted(shard.name for shard in shards if not shard.is_file()):
                    raise ExportError(f"{self.folder} lacks {', '.join(missing)}, which {name} lists; fetch the checkpoint again")
                return shards
            if found := sorted(self.folder.glob(pattern)):
                return found
        raise ExportError(f"{self.folder} has no weights (*.safetensors or *.bin); fetch the checkpoint again")

    def origins(self, licence: str) -> tuple[WeightOrigin, ...]:
        """Return where each shard came from."""
        return tuple(WeightOrigin(name=path.name, origin=self.origin, licence=licence, sha256=sha256_of(path)) for path in self.weight_files())

    def load_model(self) -> Any:
        """Return the model in the type of its weights, without gradients.

        Raises:
            ExportError: a damaged shard, a wrong configuration, or weights that are not those of the configuration.
        """
        self.weight_files()
        return load_whole(transformers.AutoModelForImageTextToText, self.folder, f"the model in {self.folder}")

    def load_processing(self) -> Processing:
        """Return image processor, tokenizer and chat template.

        Raises:
            ExportError: one of them is missing or not readable.
        """
        if not any((self.folder / name).is_file() for name in _IMAGE_PROCESSOR_FILES):
            raise ExportError(f"{self.folder} has neither of {', '.join(_IMAGE_PROCESSOR_FILES)}; fetch the checkpoint again")
        with explained(f"the image processor in {self.folder}"):
            images = transformers.AutoImageProcessor.from_pretrained(self.folder, backend="pil", local_files_only=True, trust_remote_code=False)
        with explained(f"the tokenizer in {self.folder}"):
            tokenizer = transformers.AutoTokenizer.from_pretrained(self.folder, local_files_only=True, trust_remote_code=False)
        return Processing(images=images, tokenizer=tokenizer, chat_template=self._chat_template(tokenizer))

    def _chat_template(self, tokenizer: Any) -> str:
        """The template for images has a file of its own in some checkpoints; else it is the tokenizer's."""
        for name in _TEMPLATE_FILES:
            if (path := self.folder / name).is_file():
                with explained(str(path)):
                    text = path.read_text(encoding="utf-8")
                    return text if path.suffix == ".jinja" else str(json.loads(text)["chat_template"])
        if not tokenizer.chat_template:
            raise ExportError(f"{self.folder} has no chat template; fetch the checkpoint again, or give one of a model that follows instructions")
        return str(tokenizer.chat_template)


def find_checkpoint(name_or_folder: str) -> Checkpoint:
    """Find a folder, or fetch a name such as 'org/model' from the hub.

    Raises:
        ExportError: neither.
        FetchError: the hub has no such model, or cannot be reached.
    """
    folder = Path(name_or_folder)
    if folder.is_dir():
        return Checkpoint(folder, str(folder.resolve().name))
    if name_or_folder.count("/") != 1 or name_or_folder.startswith((".", "/")):
        raise ExportError(f"{name_or_folder!r:.200} is no folder, and no name of a model on the hub, such as 'org/model'")
    try:
        return Checkpoint(_fetch(name_or_folder), f"https://huggingface.co/{name_or_folder}")
    except HFValidationError as error:
        raise ExportError(f"{name_or_folder!r:.200} is no name of a model on the hub ({error})") from error
    except (LocalEntryNotFoundError, ConnectionError, TimeoutError) as error:
        raise OfflineError(f"{name_or_folder} is not here, and the hub cannot be reached; fetch it on another machine and give the folder") from error
    except HfHubHTTPError as error:
        raise FetchError(f"the hub does not give {name_or_folder} ({error!s:.200}); check the name, and whether it needs a login") from error


def _fetch(name: str) -> Path:
    """Fetch a snapshot, and its pickles where it has no safetensors.

    Both calls answer from the cache where the hub cannot be reached, which a list of the repository's files would not.
    """
    folder = Path(snapshot_download(name, allow_patterns=list(_FILES), ignore_patterns=list(_OTHER_FORMS)))
    if any(folder.glob(_SAFE)):
        return folder
    commit = folder.name  # so that both are of one commit, whatever is pushed meanwhile
    return Path(snapshot_download(name, revision=commit, allow_patterns=[_PICKLED], ignore_patterns=list(_OTHER_FORMS)))


def _shards(index: Path) -> list[Path]:
    try:
        names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        paths = [index.parent / str(name) for name in sorted(names)]
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise ExportError(f"{index} cannot be read ({error}); fetch the checkpoint again") from error
    if any(path.parent != index.parent for path in paths):
        raise ExportError(f"{index} lists files outside of its folder; fetch the checkpoint again")
    return paths


def load_whole(kind: Any, folder: Path, what: str, dtype: torch.dtype | None = None, *, unused: tuple[str, ...] = ()) -> Any:
    """Load a model by one of transformers' Auto classes: no weight may be made up but those whose names begin as `unused` says.

    `dtype` None keeps the type of the weights. The model is in eval mode and without gradients.

    Raises:
        ExportError: a damaged shard, a wrong configuration, or weights that are not those of the configuration.
    """
    with explained(what):
        model, report = kind.from_pretrained(
            folder, dtype="auto" if dtype is None else dtype, local_files_only=True, trust_remote_code=False, output_loading_info=True
        )
    if missing := sorted(name for name in report["missing_keys"] if not name.startswith(unused)):
        raise ExportError(f"{folder} lacks {len(missing)} weights of its configuration, first {missing[0]}; fetch the checkpoint again")
    return model.eval().requires_grad_(False)


def empty_model(kind: Any, folder: Path) -> Any:
    """Return the model that config.json describes, by one of transformers' Auto classes, without weights (on the meta device)."""
    with torch.device("meta"):
        return kind.from_config(transformers.AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False))


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Turn whatever a library raises on a checkpoint into one line; redvillm's own errors say it already.

    Raises:
        ExportError: something was raised.
    """
    try:
        yield
    except RedvillmError:
        raise
    except Exception as error:  # the library's errors have no common base
        words = " ".join(str(error).split())
        raise ExportError(f"{what} cannot be loaded ({type(error).__name__}: {words:.300}); fetch the checkpoint again") from error
