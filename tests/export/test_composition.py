"""Models that are put together: vision encoders and text LLMs of transformers, GGUF, adapters; the gate, the runtime, training."""

import json
import sys

import cv2
import numpy as np
import pytest
import tiny_checkpoints
import tiny_llama
import torch
import transformers
from composed_models import VISION, WIDTH, compose, write_adapter, write_language, write_vision
from random_efficientnet import random_state
from safetensors.torch import load_file, save_file

import redvillm
from redvillm.cli.command_line import main
from redvillm.errors import BackendError, ExportError, OptionsError
from redvillm.export.adapter import load_tuning
from redvillm.export.bundle import export_checkpoint
from redvillm.export.checkpoint import Checkpoint
from redvillm.export.checkpoint_plan import CheckpointOptions, checkpoint_plan
from redvillm.export.text_llms import load_text_llm, read_text_side
from redvillm.export.tuning import NO_TUNING, LanguageTuning
from redvillm.export.vision_encoders import empty_vision_encoder, load_vision_encoder
from redvillm.prompt import Prompt


def tuning_of_a_llama():
    random = np.random.default_rng(0)
    sizes = tiny_checkpoints.TEXT
    return LanguageTuning(
        row_scales={"blk.1.ffn_up.weight": random.normal(0, 0.3, sizes["intermediate_size"]).astype(np.float32)},
        minimum_shifts={"blk.0.attn_output.weight": random.normal(0, 0.03, (WIDTH, WIDTH // 32)).astype(np.float32)},
        norms={"blk.0.attn_norm.weight": random.normal(0, 0.3, WIDTH).astype(np.float32), "output_norm.weight": np.full(WIDTH, 0.25, np.float32)},
    )


@pytest.mark.parametrize("name", list(VISION))
def test_features_are_the_last_ones_of_the_patches(tmp_path, name):
    loaded = load_vision_encoder(write_vision(tmp_path / "vision", name))
    _model, size, num_patches = VISION[name]()
    side = size["height"]
    assert (loaded.num_patches, loaded.image_size) == (num_patches, side)
    pixels = np.random.default_rng(0).integers(0, 256, (3, side, side, 3), np.uint8)
    given = transformers.AutoImageProcessor.from_pretrained(tmp_path / "vision", backend="pil")(images=list(pixels), return_tensors="pt")
    own = transformers.AutoModel.from_pretrained(tmp_path / "vision").eval()
    with torch.inference_mode():
        expected = getattr(own, "vision_model", own)(given["pixel_values"]).last_hidden_state
        expected = expected.flatten(2).mT if expected.ndim == 4 else expected[:, -num_patches:]
        torch.testing.assert_close(loaded.module(torch.from_numpy(pixels)), expected, rtol=1e-4, atol=1e-4)  # order of float32 additions


@pytest.mark.parametrize(
    ("encoder", "llm", "decoder"), [("siglip", "llama", "int8"), ("dino_with_registers", "qwen2", "int4"), ("convnext", "gguf", "int4")]
)
def test_parts_become_a_bundle_that_answers(tmp_path, encoder, llm, decoder):
    tuning = tuning_of_a_llama() if llm == "llama" else NO_TUNING
    folder = compose(tmp_path / "model", encoder=encoder, llm=llm, tuning=tuning)
    options = CheckpointOptions(decoder=decoder, max_frames=6, max_context_tokens=tiny_llama.MAX_CONTEXT_TOKENS)
    manifest = export_checkpoint(str(folder), tmp_path / "bundle", options, vision="fp32")
    assert manifest.parity and all(result.passed for result in manifest.parity)
    assert manifest.family == "composed"
    assert {origin.name for origin in manifest.weights} >= {"adapter.safetensors"}
    random = np.random.default_rng(0)
    with redvillm.load(tmp_path / "bundle") as model:
        for num_frames in (1, 7):
            clip = [random.integers(0, 256, (45, 70, 3), dtype=np.uint8) for _ in range(num_frames)]
            answer = model.ask(clip, "What?", options=redvillm.GenerationOptions(max_new_tokens=3))
            assert answer.evidence.frames_used == min(num_frames, 6)


def test_a_tuned_llm_of_transformers_says_what_the_tuning_means(tmp_path):
    """Against weights changed by the formula, in float32: what is left is the rounding to 8 bits."""
    folder = compose(tmp_path / "model", tuning=tuning_of_a_llama())
    plan = checkpoint_plan(Checkpoint(folder, "tiny"), CheckpointOptions(decoder="int8"))
    llm, tuning = load_text_llm(folder / "llm"), load_tuning(folder / "adapter.safetensors")
    layers = llm.model.layers
    layers[1].mlp.up_proj.weight.data *= 1 + torch.from_numpy(tuning.row_scales["blk.1.ffn_up.weight"])[:, None]
    shift = torch.from_numpy(tuning.minimum_shifts["blk.0.attn_output.weight"]).repeat_interleave(32, 1)
    layers[0].self_attn.o_proj.weight.data += shift
    layers[0].input_layernorm.weight.data *= 1 + torch.from_numpy(tuning.norms["blk.0.attn_norm.weight"])
    llm.model.norm.weight.data *= 1.25
    embeddings = np.random.default_rng(0).normal(size=(11, WIDTH)).astype(np.float32)
    expected = llm(inputs_embeds=torch.from_numpy(embeddings)[None]).logits[0, -1].numpy()
    untuned = load_text_llm(folder / "llm")(inputs_embeds=torch.from_numpy(embeddings)[None]).logits[0, -1].numpy()
    found = plan.language.logits(embeddings, [10])[0]
    assert np.abs(found - expected).max() < 0.05 * np.abs(expected).max()
    assert np.abs(untuned - expected).max() > 0.2 * np.abs(expected).max()


def test_the_prompt_is_that_of_the_chat_template(tmp_path):
    folder = write_language(tmp_path / "llm")
    for system, start in (("You see a video.", "<|im_start|>system\nYou see a video.<|im_end|>\n<|im_start|>user\n"), ("", "<|im_start|>user\n")):
        text = read_text_side(folder, system)
        assert text.prompt.before == start
        assert text.prompt.between == "\n"
        assert text.prompt.after == "<|im_end|>\n<|im_start|>assistant\n"
        assert Prompt(text.tokenizer_json, text.prompt).tokenizer.id_to_token(text.end_of_turn) == "<|im_end|>"


@pytest.mark.parametrize(
    "changes", [{"vision": "nowhere"}, {"adapter": None}, {"language": 5}, {"more": "x"}, {"language": "vision"}, {"vision": "llm"}, {"system": 1}]
)
def test_a_wrong_composition_is_one_error(tmp_path, changes):
    folder = compose(tmp_path / "model", **changes)
    with pytest.raises(ExportError):
        export_checkpoint(str(folder), tmp_path / "bundle", CheckpointOptions())
    assert not (tmp_path / "bundle").exists()
    assert main(["export", str(folder), "--check"]) == 1


@pytest.mark.parametrize(("part", "weight"), [("vision", "encoder.layers.1.self_attn.k_proj.weight"), ("llm", "model.layers.1.mlp.up_proj.weight")])
def test_a_part_without_one_of_its_weights_is_refused(tmp_path, part, weight):
    """The library makes up what is missing."""
    folder = compose(tmp_path / "model")
    path = folder / part / "model.safetensors"
    state = load_file(path)
    [name] = [name for name in state if name.endswith(weight)]
    del state[name]
    save_file(state, path, metadata={"format": "pt"})
    with pytest.raises(ExportError, match="lacks 1 weights"):
        checkpoint_plan(Checkpoint(folder, "tiny"), CheckpointOptions())


def test_an_encoder_without_its_unused_pooler_is_taken(tmp_path):
    folder = write_vision(tmp_path / "vision", "siglip")
    state = {name: values for name, values in load_file(folder / "model.safetensors").items() if "head." not in name}
    expected = load_vision_encoder(folder).module(torch.zeros(1, 32, 32, 3, dtype=torch.uint8))
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    torch.testing.assert_close(load_vision_encoder(folder).module(torch.zeros(1, 32, 32, 3, dtype=torch.uint8)), expected)


def test_without_timm_the_error_says_what_to_install(tmp_path, monkeypatch):
    """Of a configuration of transformers' wrapper, and of timm's own."""
    monkeypatch.setitem(sys.modules, "timm", None)
    for config in ({"model_type": "timm_wrapper"}, {"architecture": "resnet18", "pretrained_cfg": {}}):
        (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
        for load in (load_vision_encoder, empty_vision_encoder):
            with pytest.raises(BackendError, match="pip install timm torchvision"):
                load(tmp_path)


def test_weights_keep_the_type_in_which_they_are_stored(tmp_path):
    """A checkpoint in float32 is quantized from float32, and compared with that."""
    llm = load_text_llm(write_language(tmp_path / "llm"))
    assert {parameter.dtype for parameter in llm.parameters()} == {torch.float32}


def test_a_gguf_takes_no_system_message_too(tmp_path):
    path = tiny_llama.write_gguf(tmp_path / "llm.gguf")
    assert "You see" in read_text_side(path, "You see a video.").prompt.before
    assert "system" not in read_text_side(path, "").prompt.before


def test_parts_that_do_not_fit_each_other_are_refused(tmp_path):
    folder = compose(tmp_path / "model")
    for sizes in ((15, 32), (16, 33), (16, 32, WIDTH + 32)):
        write_adapter(folder / "adapter.safetensors", *sizes)
        with pytest.raises(ExportError):
            checkpoint_plan(Checkpoint(folder, "tiny"), CheckpointOptions()).dimensions  # noqa: B018
        assert main(["export", str(folder), "--check"]) == 1


def test_a_quantized_llm_takes_no_precision(tmp_path):
    folder = compose(tmp_path / "model", llm="gguf")
    with pytest.raises(OptionsError):
        checkpoint_plan(Checkpoint(folder, "tiny"), CheckpointOptions(decoder="int8"))


def test_the_check_of_sound_parts_passes(tmp_path, capsys):
    assert main(["export", str(compose(tmp_path / "model")), "--check"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 4
    assert all(line.startswith("ok") for line in lines)


def test_an_adapter_is_trained_between_own_parts_and_exported(tmp_path, capsys):
    vision, language = write_vision(tmp_path / "vision", "siglip"), write_language(tmp_path / "llm", "qwen2")
    cv2.imwrite(str(tmp_path / "a.png"), np.random.default_rng(0).integers(0, 256, (50, 61, 3), np.uint8))
    question = {"frames": ["a.png"], "kind": "naming", "question": "What is it?", "answers": ["A dog."]}
    (tmp_path / "questions.jsonl").write_text(json.dumps(question), encoding="utf-8")
    steps = ["--warm-start-steps", "1", "--caption-steps", "1", "--question-steps", "2", "--batch-size", "1", "--threads", "1"]
    parts = ["--vision", str(vision), "--language", str(language)]
    assert main(["train", "--questions", str(tmp_path / "questions.jsonl"), "--run", str(tmp_path / "run"), *parts, *steps]) == 0
    assert not load_tuning(tmp_path / "run" / "adapter.safetensors").is_empty
    assert main(["export", str(tmp_path / "run"), "--context", "128", "--vision", "fp32", "--out", str(tmp_path / "bundle")]) == 0
    capsys.readouterr()
    assert (tmp_path / "bundle" / "manifest.json").is_file()


def test_an_efficientnet_is_a_vision_encoder_too(tmp_path):
    torch.save(random_state(), tmp_path / "vision.pth")
    loaded = load_vision_encoder(tmp_path / "vision.pth")
    with torch.inference_mode():
        features = loaded.module(torch.zeros(2, loaded.image_size, loaded.image_size, 3, dtype=torch.uint8))
    assert features.shape == (2, loaded.num_patches, loaded.width)
