"""Checkpoints of every family become bundles that pass the parity gate, and that the runtime answers from."""

import numpy as np
import pytest
import tiny_checkpoints

import redvillm
from redvillm.errors import ExportError
from redvillm.export.bundle import export_checkpoint
from redvillm.export.checkpoint import Checkpoint
from redvillm.export.checkpoint_plan import CheckpointOptions, checkpoint_plan
from redvillm.export.image_llm import TakeOptions
from redvillm.manifest import read_manifest
from redvillm.prompt import Prompt
from redvillm.rotary import position_after, text_positions, visual_positions
from redvillm.runtime.language import LanguageModel

SIZES = {"qwen2_vl": TakeOptions(frame_height=48, frame_width=80), "qwen2_5_vl": TakeOptions(frame_height=48, frame_width=80)}


def options(name, **changes):
    return CheckpointOptions(max_frames=6, max_context_tokens=256, take=SIZES.get(name, TakeOptions()), **changes)


def clip(num_frames, height=45, width=70):
    random = np.random.default_rng(num_frames)
    return [random.integers(0, 256, (height, width, 3), dtype=np.uint8) for _ in range(num_frames)]


@pytest.mark.parametrize("name", list(tiny_checkpoints.FAMILIES))
def test_a_checkpoint_becomes_a_bundle_that_answers(tmp_path, name):
    steps = []
    checkpoint = tiny_checkpoints.write(tmp_path / "checkpoint", name)
    manifest = export_checkpoint(str(checkpoint), tmp_path / "bundle", options(name, decoder="int8"), vision="fp32", progress=steps.append)
    assert all(result.passed for result in manifest.parity)
    with redvillm.load(tmp_path / "bundle") as model:
        for num_frames in (1, 5, 11):
            answer = model.ask(clip(num_frames), "What is happening?", options=redvillm.GenerationOptions(max_new_tokens=4))
            assert answer.evidence.frames_used == min(num_frames, 6)


@pytest.mark.parametrize("name", ["qwen2_5_vl", "llava, SigLIP, Qwen2"])
def test_the_runtime_reads_a_prompt_as_the_model_does(tmp_path, name):
    """Positions of three parts too: over slices of the prefill, two windows one after the other, question and answer."""
    checkpoint = Checkpoint(tiny_checkpoints.write(tmp_path / "checkpoint", name), "tiny")
    plan = checkpoint_plan(checkpoint, options(name, decoder="int8"))
    export_checkpoint(str(checkpoint.folder), tmp_path / "bundle", options(name, decoder="int8"), vision="fp32", check=False)
    language = LanguageModel(tmp_path / "bundle", read_manifest(tmp_path / "bundle"), threads=1)
    sizes, prompt = plan.dimensions, Prompt(plan.tokenizer_json, plan.prompt)
    random = np.random.default_rng(0)
    windows = [random.normal(size=(sizes.num_patches + extra, sizes.llm_width)).astype(np.float32) for extra in (0, 51)]
    language.prefill(*windows)
    question, answer = "What is it?", "A cat."
    before, after = plan.language.embed(prompt.prefix_ids), prompt.suffix_ids(question)
    answer_ids = prompt.tokenizer.encode(answer, add_special_tokens=False).ids
    positions = None
    if plan.rotary.sections:
        positions = text_positions(0, len(before))
        for window in windows:
            positions = np.concatenate([positions, visual_positions(plan.rotary, position_after(positions), len(window))])
        positions = np.concatenate([positions, text_positions(position_after(positions), len(after) + len(answer_ids))])
    read = np.concatenate([before, *windows, plan.language.embed([*after, *answer_ids])])
    rows = range(len(read) - len(answer_ids) - 1, len(read))
    logits = plan.language.logits(read, rows, positions).astype(np.float64)
    shares = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
    expected = [*shares[np.arange(len(answer_ids)), answer_ids], np.logaddexp.reduce(shares[-1, list(plan.prompt.stop_token_ids)])]
    # 8-bit activations; a wrong position moves it by tenths
    assert language.likelihood(question, answer) == pytest.approx(-np.mean(expected), abs=0.02)
    if positions is not None:
        straight = plan.language.logits(read, rows, text_positions(0, len(read))).astype(np.float64)
        assert np.abs(straight - logits).max() > 0.5


@pytest.mark.parametrize(
    ("name", "decoder"),
    [
        *((name, "int4") for name in tiny_checkpoints.FAMILIES),
        ("llava_next", "int4-symmetric"),
        ("qwen2_vl", "int4-symmetric"),
        ("qwen2_5_vl", "fp16"),
    ],
)
def test_small_precisions_pass_the_gate(tmp_path, name, decoder):
    steps = []
    checkpoint = tiny_checkpoints.write(tmp_path / "checkpoint", name)
    manifest = export_checkpoint(str(checkpoint), tmp_path / "bundle", options(name, decoder=decoder), vision="int8", progress=steps.append)
    assert any("--llm" in step for step in steps) == decoder.startswith("int4")  # what 4 bits cost a small LLM is said
    assert all(result.passed for result in manifest.parity)
    assert manifest.precision["decoder.onnx"].startswith(decoder)
    assert "int8" in manifest.precision["vision.onnx"]


def test_a_context_that_holds_no_answer_is_refused(tmp_path):
    checkpoint = tiny_checkpoints.write(tmp_path / "checkpoint", "idefics3")
    with pytest.raises(ExportError, match="a context of 64 tokens is too short"):
        export_checkpoint(str(checkpoint), tmp_path / "bundle", CheckpointOptions(max_frames=6, max_context_tokens=64), vision="fp32")
    assert not (tmp_path / "bundle").exists()
