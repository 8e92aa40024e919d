"""Checkpoints that are whole, sharded, pickled or damaged: loaded, or refused with one clear error and nothing left behind."""

import json
import pickle
import shutil
from collections import namedtuple

import pytest
import tiny_checkpoints
import torch

from redvillm.errors import ExportError, OptionsError
from redvillm.export.bundle import export_checkpoint
from redvillm.export.check import CheckpointCheck
from redvillm.export.checkpoint import Checkpoint
from redvillm.export.checkpoint_plan import CheckpointOptions
from redvillm.export.estimate import size_of
from redvillm.export.float_quantization import BlockFormat
from redvillm.export.image_llm import TakeOptions

NAME = "llava, CLIP, Llama"


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return tiny_checkpoints.write(tmp_path_factory.mktemp("checkpoint"), NAME)


@pytest.fixture
def folder(written, tmp_path):
    """A copy that a test may damage."""
    return shutil.copytree(written, tmp_path / "checkpoint")


def failures(folder, tmp_path, **changes):
    choices = {"target": "cpu", "vision": "fp32", "out": tmp_path / "out", **changes}
    return {finding.name: finding.words for finding in CheckpointCheck(str(folder), CheckpointOptions(), **choices).findings() if not finding.passed}


def test_a_whole_checkpoint_has_no_fault(folder, tmp_path):
    check = CheckpointCheck(str(folder), CheckpointOptions(), target="cpu", vision="fp32", out=tmp_path / "out")
    findings = list(check.findings())
    assert all(finding.passed for finding in findings), findings
    assert len(findings) == 9
    model = Checkpoint(folder, "tiny").load_model()
    assert check.size == size_of(model, model.model.language_model)  # what is said without weights is true of the weights


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_shards_are_read_in_their_own_type(tmp_path, dtype):
    folder = tiny_checkpoints.write(tmp_path / "sharded", NAME, dtype=dtype, shard_bytes="100KB")
    found = Checkpoint(folder, "tiny")
    assert len(found.weight_files()) > 2
    model = found.load_model()
    assert {parameter.dtype for parameter in model.parameters()} == {dtype}
    expected, _ = tiny_checkpoints.processing(NAME)
    for (name, given), wanted in zip(model.named_parameters(), expected.parameters(), strict=True):
        assert torch.equal(given, wanted.to(dtype)), name
    origins = found.origins("mine")
    assert [origin.name for origin in origins] == [path.name for path in found.weight_files()]


def test_pickled_weights_are_read_as_data_only(folder, tmp_path):
    model, _ = tiny_checkpoints.processing(NAME)
    (folder / "model.safetensors").unlink()
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    assert torch.equal(Checkpoint(folder, "tiny").load_model().lm_head.weight, model.lm_head.weight)
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(_Program(tmp_path / "ran")))
    with pytest.raises(ExportError, match="cannot be loaded"):
        Checkpoint(folder, "tiny").load_model()
    assert not (tmp_path / "ran").exists()


class _Program:
    """What a pickle could run."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def cut(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def change_config(**changes):
    def change(folder):
        config = json.loads((folder / "config.json").read_text())
        for key, value in changes.items():
            part, _, name = key.rpartition("__")
            (config[part] if part else config)[name] = value
        (folder / "config.json").write_text(json.dumps(config))

    return change


def change_size(folder, size):
    path = folder / "preprocessor_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"size": size}))


def remove(*names):
    def change(folder):
        for name in names:
            (folder / name).unlink()

    return change


def wrong_template(folder):
    (folder / "chat_template.jinja").write_text("{{ messages[0]['content'][1]['text'] }}")


# what is wrong: the words of the error, and the finding of --check that names it ("" where only the export can see it)
DAMAGES = {
    "a shard that ends early": (cut, "damaged|cannot be loaded", "weights"),
    "no weights": (remove("model.safetensors"), "no weights", "weights"),
    "no configuration": (remove("config.json"), "no config.json", "checkpoint"),
    "no tokenizer": (remove("tokenizer.json", "tokenizer_config.json"), "tokenizer", "processor, tokenizer, chat template"),
    "no image processor": (remove("preprocessor_config.json"), "preprocessor_config.json", "processor, tokenizer, chat template"),
    "no chat template": (remove("chat_template.jinja"), "chat template", "processor, tokenizer, chat template"),
    "a template without a place for the image": (wrong_template, "does not show an image", ""),
    "a template file that is none": (
        lambda folder: (folder / "chat_template.jinja").write_bytes(b"\xff\xfe"),
        "cannot be loaded",
        "processor, tokenizer, chat template",
    ),
    "an image processor of another kind": (lambda folder: change_size(folder, {"longest_edge": 99}), "no fixed size|cannot be loaded", ""),
    "an unknown architecture": (change_config(model_type="blip_2"), "no family of redvillm knows", "family"),
    "an LLM of another architecture": (
        change_config(text_config__model_type="gpt_neox"),
        "architecture 'gpt_neox'|lacks 19 weights",
        "language model",
    ),
    "a wrong width": (change_config(text_config__hidden_size=96), "cannot be loaded|lacks", ""),
    "a layer too many": (change_config(text_config__num_hidden_layers=3), "lacks 9 weights of its configuration", ""),
    "no type": (change_config(model_type=None), "model_type", "checkpoint"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_one_error_and_leaves_nothing(folder, tmp_path, damage):
    change, words, finding = DAMAGES[damage]
    change(folder)
    (tmp_path / "place").mkdir()
    with pytest.raises(ExportError, match=words) as caught:
        export_checkpoint(str(folder), tmp_path / "place" / "out", CheckpointOptions(), vision="fp32")
    assert "\n" not in str(caught.value)
    assert list((tmp_path / "place").iterdir()) == []
    found = failures(folder, tmp_path)
    assert set(found) == ({finding} if finding else set()), found


def test_a_missing_shard_is_named(tmp_path):
    folder = tiny_checkpoints.write(tmp_path / "sharded", NAME, shard_bytes="100KB")
    shard = Checkpoint(folder, "tiny").weight_files()[1]
    shard.unlink()
    with pytest.raises(ExportError, match=shard.name):
        Checkpoint(folder, "tiny").load_model()
    assert shard.name in failures(folder, tmp_path)["weights"]


@pytest.mark.parametrize("text", ["", "[]", '{"weight_map": 3}', '{"weight_map": {"a": "../../secret.safetensors"}}', "\xff"])
def test_a_wrong_index_is_refused(folder, text):
    (folder / "model.safetensors.index.json").write_text(text, encoding="latin-1")
    with pytest.raises(ExportError, match=r"index\.json"):
        Checkpoint(folder, "tiny").weight_files()


def test_too_little_memory_and_disk_are_found_before_work(folder, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10, 9, 1))
    assert "free some space" in failures(folder, tmp_path)["disk"]
    memory = namedtuple("memory", "available")
    monkeypatch.setattr("psutil.virtual_memory", lambda: memory(1))
    assert "larger machine" in failures(folder, tmp_path)["memory"]
    with pytest.raises(ExportError, match="free some space"):
        export_checkpoint(str(folder), tmp_path / "out", CheckpointOptions())


def test_targets_are_named(folder, tmp_path):
    assert "fp16, fp32" in failures(folder, tmp_path, target="cuda", vision="int8")["target"]
    assert failures(folder, tmp_path, target="tensorrt", vision=None) == {}
    assert "cpu, cuda, tensorrt" in failures(folder, tmp_path, target="fpga")["target"]


def test_options_are_checked():
    with pytest.raises(OptionsError, match="int4, int4-symmetric, int8, fp16"):
        CheckpointOptions(decoder="int3")
    with pytest.raises(OptionsError, match="1 to 1024"):
        CheckpointOptions(max_frames=0)


def test_frame_sizes_are_whole_squares_of_patches(tmp_path):
    folder = tiny_checkpoints.write(tmp_path / "qwen", "qwen2_vl")
    with pytest.raises(OptionsError, match="multiples of 16"):
        export_checkpoint(str(folder), tmp_path / "out", CheckpointOptions(take=TakeOptions(frame_height=50, frame_width=64)))


def test_sizes_of_bundles_are_foretold(folder, tmp_path):
    check = CheckpointCheck(str(folder), CheckpointOptions(decoder="int8"), target="cpu", vision="fp32", out=tmp_path / "out")
    assert list(check.findings())
    manifest = export_checkpoint(str(folder), tmp_path / "out", CheckpointOptions(decoder="int8"), vision="fp32", check=False)
    weights = sum(spec.size_bytes for name, spec in manifest.files.items() if name.endswith((".onnx", ".data", ".npy")))
    # graphs, norms and rotary tables are a large part of a tiny model
    assert (
        check.size.bundle_bytes("fp32", BlockFormat(bits=8, symmetric=True))
        <= weights
        <= 1.9 * check.size.bundle_bytes("fp32", BlockFormat(bits=8, symmetric=True))
    )
