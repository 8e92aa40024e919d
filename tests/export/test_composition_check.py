"""`--check` and `--dry-run` of models that are put together: one finding for each thing that is wrong, and sizes that come true."""

import json
import re
import shutil
from collections import namedtuple

import pytest
import tiny_checkpoints
import tiny_llama
import torch
import transformers
from composed_models import compose, write_language
from random_efficientnet import random_state

from redvillm.cli.command_line import main
from redvillm.errors import ExportError, OptionsError
from redvillm.export.adapter import load_adapter
from redvillm.export.bundle import export_checkpoint
from redvillm.export.check import CheckpointCheck
from redvillm.export.checkpoint import Checkpoint
from redvillm.export.checkpoint_plan import DECODER_PRECISIONS, CheckpointOptions, checkpoint_plan
from redvillm.export.image_llm import TakeOptions
from redvillm.export.text_llms import load_text_llm
from redvillm.export.vision_encoders import load_vision_encoder


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A folder for each kind of LLM; the encoder is a convolutional one where the LLM is a GGUF."""
    place = tmp_path_factory.mktemp("composed")
    return {llm: compose(place / llm, encoder="convnext" if llm == "gguf" else "siglip", llm=llm) for llm in ("llama", "gguf")}


@pytest.fixture(params=["llama", "gguf"])
def folder(sound, request, tmp_path):
    """A copy that a test may damage."""
    return shutil.copytree(sound[request.param], tmp_path / "model")


def look(folder, tmp_path, options=None, **changes):
    choices = {"target": "cpu", "vision": "fp32", "out": tmp_path / "out", **changes}
    check = CheckpointCheck(str(folder), options or CheckpointOptions(), **choices)
    return check, list(check.findings())


def failures(folder, tmp_path, options=None):
    return {finding.name: finding.words for finding in look(folder, tmp_path, options)[1] if not finding.passed}


def num_weights(*modules):
    return sum(parameter.numel() for module in modules for parameter in module.parameters())


@pytest.mark.parametrize(
    ("encoder", "dtype", "tied"), [("siglip", torch.float32, False), ("clip_with_text", torch.bfloat16, True), ("convnext", torch.bfloat16, False)]
)
def test_what_is_said_without_weights_is_true_of_the_weights(tmp_path, encoder, dtype, tied):
    """Of a bfloat16 checkpoint too, whose encoder is loaded in float32 and whose LLM is not."""
    folder = compose(tmp_path / "model", encoder=encoder)
    vision = transformers.AutoModel.from_pretrained(folder / "vision", dtype=dtype)
    vision.save_pretrained(folder / "vision")
    config = tiny_checkpoints.text_config("qwen2")
    config.tie_word_embeddings = tied
    transformers.AutoModelForCausalLM.from_config(config, dtype=dtype).save_pretrained(folder / "llm")
    check, findings = look(folder, tmp_path)
    assert all(finding.passed for finding in findings), findings
    assert len(findings) == 12
    loaded, llm = load_vision_encoder(folder / "vision"), load_text_llm(folder / "llm")
    half = num_weights(loaded.module, load_adapter(folder / "adapter.safetensors"))
    table = llm.lm_head.weight.numel()
    assert check.size.vision == half
    assert check.size.matrices == num_weights(llm.model.layers)
    assert check.size.tables == (table if tied else 2 * table)
    assert check.size.stored_bytes == 4 * half + num_weights(llm) * dtype.itemsize


def test_an_efficientnet_is_measured_too(sound, tmp_path):
    folder = shutil.copytree(sound["llama"], tmp_path / "model")
    torch.save(random_state(), folder / "vision.pth")
    change_config(folder, vision="vision.pth")
    assert set(failures(folder, tmp_path)) == {"adapter"}  # it was made for the other encoder
    (folder / "vision.pth").write_bytes((folder / "vision.pth").read_bytes()[:-100])
    assert set(failures(folder, tmp_path)) == {"vision encoder"}


def change_config(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def pickled_and_cut(path):
    path.unlink()
    torch.save({"weight": torch.zeros(999)}, path.with_name("pytorch_model.bin"))
    cut(path.with_name("pytorch_model.bin"))


# what is done to a file, and the finding that names it
DAMAGES = {
    "an encoder's weights that end early": (cut, "vision/model.safetensors", "weights of the vision encoder"),
    "an encoder without weights": (lambda path: path.unlink(), "vision/model.safetensors", "weights of the vision encoder"),
    "an encoder's pickle that ends early": (pickled_and_cut, "vision/model.safetensors", "weights of the vision encoder"),
    "an LLM's weights that end early": (cut, "llm/model.safetensors", "weights of the language model"),
    "an LLM without weights": (lambda path: path.unlink(), "llm/model.safetensors", "weights of the language model"),
    "an adapter that ends early": (cut, "adapter.safetensors", "adapter"),
    "no tokenizer": (lambda path: path.unlink(), "llm/tokenizer.json", "tokenizer, chat template"),
    "an encoder without configuration": (lambda path: path.unlink(), "vision/config.json", "vision encoder"),
    "an LLM without configuration": (lambda path: path.unlink(), "llm/config.json", "language model"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damage_is_one_finding(sound, tmp_path, damage):
    change, name, finding = DAMAGES[damage]
    folder = shutil.copytree(sound["llama"], tmp_path / "model")
    change(folder / name)
    assert set(failures(folder, tmp_path)) == {finding}
    with pytest.raises(ExportError):
        checkpoint_plan(Checkpoint(folder, "tiny"), CheckpointOptions())


@pytest.mark.parametrize("part", ["vision", "language"])
def test_a_missing_shard_of_either_part_is_named(tmp_path, part):
    folder = compose(tmp_path / "model")
    path = folder / {"vision": "vision", "language": "llm"}[part]
    kind = transformers.AutoModel if part == "vision" else transformers.AutoModelForCausalLM
    kind.from_pretrained(path).save_pretrained(path, max_shard_size="40KB")
    (path / "model.safetensors").unlink(missing_ok=True)
    shard = Checkpoint(path, "tiny").weight_files()[1]
    shard.unlink()
    found = failures(folder, tmp_path)
    assert len(found) == 1
    assert shard.name in found[f"weights of the {'vision encoder' if part == 'vision' else 'language model'}"]


def test_a_damaged_gguf_is_one_finding(sound, tmp_path):
    folder = shutil.copytree(sound["gguf"], tmp_path / "model")
    cut(folder / "llm")
    assert set(failures(folder, tmp_path)) == {"language model"}
    tiny_llama.write_gguf(folder / "llm", layers="Q5_0")
    assert "Q4_0, Q4_1, Q8_0" in failures(folder, tmp_path)["language model"]


def test_too_little_memory_and_disk_are_found(folder, tmp_path, monkeypatch):
    assert failures(folder, tmp_path) == {}
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10, 9, 1))
    assert set(failures(folder, tmp_path)) == {"disk"}
    memory = namedtuple("memory", "available")
    monkeypatch.setattr("psutil.virtual_memory", lambda: memory(1))
    assert set(failures(folder, tmp_path)) == {"disk", "memory"}


@pytest.mark.parametrize("options", [CheckpointOptions(take=TakeOptions(frame_height=32, frame_width=32)), CheckpointOptions(decoder="int8")])
def test_an_option_that_does_not_fit_is_a_finding_and_sizes_are_told_all_the_same(sound, tmp_path, options):
    assert set(failures(sound["gguf"], tmp_path, options)) == {"options"}
    with pytest.raises(OptionsError):
        checkpoint_plan(Checkpoint(sound["gguf"], "tiny"), options)
    assert look(sound["gguf"], tmp_path, options)[0].bundle_sizes() == look(sound["gguf"], tmp_path)[0].bundle_sizes()


def test_the_table_has_a_row_for_each_precision_that_makes_a_difference(sound, capsys):
    rows = {}
    for llm, folder in sound.items():
        assert main(["export", str(folder), "--dry-run"]) == 0
        rows[llm] = [re.split(r" {2,}", line) for line in capsys.readouterr().out.splitlines()[1:]]
    assert [row[:2] for row in rows["llama"]] == [[llm, vision] for llm in ("int4", "int4-symmetric", "int8", "fp16") for vision in ("int8", "fp32")]
    assert [row[:2] for row in rows["gguf"]] == [["as in the GGUF", "int8"], ["as in the GGUF", "fp32"]]
    costs = [float(row[-1].removesuffix(" %")) for row in rows["llama"]]
    assert costs[0] == costs[1] > costs[4] > costs[6] > 0  # as docs/families.md has them
    assert {row[-1] for row in rows["gguf"]} == {"as it came"}


def test_sizes_of_bundles_are_foretold(folder, tmp_path):
    check, _ = look(folder, tmp_path)
    foretold = next(size.size_bytes for size in check.bundle_sizes() if size.vision == "fp32")
    manifest = export_checkpoint(str(folder), tmp_path / "bundle", CheckpointOptions(max_context_tokens=64), vision="fp32", check=False)
    weights = {name: spec.size_bytes for name, spec in manifest.files.items() if name.endswith((".onnx", ".data", ".npy"))}
    graphs_of_a_tiny_model = 60_000  # nodes, names, norms and rotary tables
    assert 0.9 * foretold <= sum(weights.values()) <= foretold + graphs_of_a_tiny_model, weights


def test_a_gguf_has_the_size_of_its_tensors(sound, tmp_path):
    size = look(sound["gguf"], tmp_path)[0].size
    stored = (sound["gguf"] / "llm").stat().st_size
    assert 0.8 * stored < size.quantized_bytes < stored  # the rest is the vocabulary
    assert {size.bundle_bytes("fp32", form) - 4 * size.vision for form in DECODER_PRECISIONS.values()} == {size.quantized_bytes}
    assert size.tables == len(tiny_llama.VOCABULARY) * tiny_llama.WIDTH


def test_an_llm_that_does_not_fit_the_adapter_has_no_size(sound, tmp_path):
    folder = shutil.copytree(sound["llama"], tmp_path / "model")
    shutil.rmtree(folder / "llm")
    shutil.copytree(write_language(tmp_path / "other"), folder / "llm")
    path = folder / "llm" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"hidden_size": 128}))
    check, findings = look(folder, tmp_path)
    assert findings[-1].name == "language model"
    assert not findings[-1].passed
    assert check.bundle_sizes() == ()
