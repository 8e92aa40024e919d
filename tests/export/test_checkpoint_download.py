"""Checkpoints by their names on the hub: huggingface_hub's own download and cache, with a hub behind it that is only a list of files."""

import huggingface_hub
import pytest
from huggingface_hub import constants
from huggingface_hub.errors import RepositoryNotFoundError

from redvillm.errors import ExportError, FetchError, OfflineError
from redvillm.export.checkpoint import Checkpoint, find_checkpoint

library = pytest.importorskip("huggingface_hub._snapshot_download", reason="this huggingface_hub keeps its download elsewhere")
COMMIT = "0123456789abcdef0123456789abcdef01234567"
WHOLE = ["config.json", "tokenizer.json", "README.md", "modeling_own.py", "model.gguf"]
OTHER_FORMS = [
    "onnx/model.onnx",
    "onnx/config.json",
    "openvino/openvino_model.bin",
    "openvino_model.bin",
    "original/consolidated.00.pth",
    "original/params.json",
    "consolidated.safetensors",
    "consolidated.00.bin",
]
SAFE, PICKLED = ["model.safetensors"], ["pytorch_model.bin"]
SAFE_SHARDS = ["model.safetensors.index.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
PICKLED_SHARDS = ["pytorch_model.bin.index.json", "pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin"]
SHARDED = '{{"weight_map": {{"a": "{}", "b": "{}"}}}}'


class Hub:
    """What huggingface_hub asks of the network: which files there are, and each of them."""

    def __init__(self, cache):
        self.files, self.fetched, self.error, self.cache = [], [], None, cache

    def __call__(self, **_):
        return self

    def repo_info(self, **_):
        self._answer()
        return huggingface_hub.ModelInfo(id="org/model", sha=COMMIT, private=False, downloads=0, likes=0, tags=[])

    def list_repo_tree(self, **_):
        self._answer()
        return [huggingface_hub.RepoFile(path=name, size=3, oid="0") for name in self.files]

    def download(self, _repository, *, filename, revision, **_kept):
        """huggingface_hub's hf_hub_download: a file that is in the cache at a commit is not asked for."""
        path = self.cache / "models--org--model" / "snapshots" / revision / filename
        if not path.exists():
            self._answer()
            self.fetched.append(filename)
            path.parent.mkdir(parents=True, exist_ok=True)
            shards = [name for name in self.files if filename.startswith(name.split("-0")[0]) and "-0" in name]
            path.write_text(SHARDED.format(*shards) if filename.endswith(".index.json") else "{}")
        return str(path)

    def _answer(self):
        if self.error is not None:
            raise self.error


@pytest.fixture
def hub(tmp_path, monkeypatch):
    hub = Hub(tmp_path / "cache")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(hub.cache))
    monkeypatch.setattr(library, "HfApi", hub)
    monkeypatch.setattr(library, "hf_hub_download", hub.download)
    return hub


@pytest.fixture
def offline(hub):
    def close():
        hub.error = huggingface_hub.errors.OfflineModeIsEnabled("no network here")

    return close


@pytest.mark.parametrize(
    ("weights", "taken"),
    [
        (SAFE, SAFE),
        (SAFE + PICKLED, SAFE),
        (PICKLED, PICKLED),
        (SAFE_SHARDS, SAFE_SHARDS),
        (SAFE_SHARDS + PICKLED_SHARDS, [*SAFE_SHARDS, PICKLED_SHARDS[0]]),
        (SAFE + PICKLED_SHARDS, [*SAFE, PICKLED_SHARDS[0]]),
        (PICKLED_SHARDS, PICKLED_SHARDS),
    ],
)
def test_weights_are_fetched_once_and_found_again_without_a_network(hub, offline, weights, taken):
    hub.files = [*WHOLE, *OTHER_FORMS, *weights]
    found = find_checkpoint("org/model")
    assert sorted(hub.fetched) == sorted([*taken, "config.json", "tokenizer.json"])
    assert found.origin == "https://huggingface.co/org/model"
    assert [path.name for path in found.weight_files()] == [name for name in taken if not name.endswith(".json")]
    hub.fetched.clear()
    for close in (lambda: None, offline):
        close()
        assert find_checkpoint("org/model") == found
        assert hub.fetched == []


def test_parts_in_folders_of_their_own_are_fetched(hub):
    """Of a model that is put together."""
    hub.files = ["config.json", "adapter.safetensors", "vision/config.json", "vision/model.safetensors", "llm/model.safetensors"]
    find_checkpoint("org/model")
    assert sorted(hub.fetched) == sorted(hub.files)


@pytest.mark.parametrize("missing", [SAFE[0], PICKLED[0]])
def test_a_download_that_was_broken_off_is_not_taken_for_whole(hub, offline, missing):
    hub.files = ["config.json", missing]
    folder = find_checkpoint("org/model").folder
    (folder / missing).unlink()
    offline()
    with pytest.raises(OfflineError, match="give the folder"):
        find_checkpoint("org/model")
    hub.error = None
    assert (find_checkpoint("org/model").folder / missing).is_file()


def test_what_cannot_be_fetched_is_one_error(hub, offline):
    for name in ("a/b/c", "/no/such/folder", "word", "../x"):
        with pytest.raises(ExportError, match="no folder"):
            find_checkpoint(name)
    with pytest.raises(ExportError, match="no name"):
        find_checkpoint("org/-model-")
    offline()
    with pytest.raises(OfflineError, match="give the folder"):
        find_checkpoint("org/model")
    hub.error = ConnectionError()
    with pytest.raises(OfflineError, match="give the folder"):
        find_checkpoint("org/model")


def test_a_model_that_is_not_there_is_one_error(hub):
    class Answer:
        status_code, headers, request = 404, {}, None

    hub.error = RepositoryNotFoundError("404", response=Answer())
    with pytest.raises(FetchError, match="check the name"):
        find_checkpoint("org/model")


def test_a_model_without_weights_says_so(hub):
    hub.files = WHOLE
    with pytest.raises(ExportError, match="no weights"):
        find_checkpoint("org/model").weight_files()


def test_an_index_of_pickles_beside_whole_safetensors_is_not_followed(tmp_path):
    (tmp_path / "pytorch_model.bin.index.json").write_text(SHARDED.format("a.bin", "b.bin"))
    (tmp_path / "model.safetensors").touch()
    assert [path.name for path in Checkpoint(tmp_path, "tiny").weight_files()] == ["model.safetensors"]
