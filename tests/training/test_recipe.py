"""`redvillm train` from files to an adapter that exports, with a random encoder and a tiny LLM."""

import json

import cv2
import numpy as np
import pytest
import tiny_llama
import torch
from random_efficientnet import random_state

from redvillm.cli.command_line import main
from redvillm.export.adapter import load_adapter, load_tuning
from redvillm.export.llama import load_llama


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two photos, a video, a random checkpoint and a tiny LLM; captions, questions and held-out questions about them."""
    folder, random = tmp_path_factory.mktemp("recipe"), np.random.default_rng(0)
    torch.save(random_state(), folder / "vision.pth")
    tiny_llama.write_gguf(folder / "language.gguf")
    for name in ("a.jpg", "b.png"):
        cv2.imwrite(str(folder / name), random.integers(0, 256, (50, 61, 3), np.uint8))
    writer = cv2.VideoWriter(str(folder / "c.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
    for number in range(23):
        writer.write(np.full((48, 64, 3), number * 10, np.uint8))
    writer.release()
    write(folder / "captions.jsonl", {"image": "a.jpg", "captions": ["The thing in the inn.", "A thing."]})
    questions = [
        {"frames": ["b.png"], "kind": "presence", "question": "Is it in?", "answers": ["Yes."]},
        {"frames": ["a.jpg", "b.png"], "kind": "order", "question": "Which is first?", "answers": ["a", "the a"]},
        {"video": "c.avi", "kind": "movement", "question": "Is anything moving?", "answers": ["Yes."]},
        {"video": "c.avi", "kind": "direction", "question": "Where to?", "answers": ["the inn"]},
    ]
    write(folder / "questions.jsonl", *questions)
    write(folder / "held_out.jsonl", *questions[:2])
    return folder


def write(path, *lines):
    path.write_text("\n".join(json.dumps(line) for line in lines), encoding="utf-8")


def train(folder, run, *more):
    data = [
        "--captions",
        str(folder / "captions.jsonl"),
        "--questions",
        str(folder / "questions.jsonl"),
        "--held-out",
        str(folder / "held_out.jsonl"),
    ]
    weights = ["--vision", str(folder / "vision.pth"), "--language", str(folder / "language.gguf")]
    steps = ["--warm-start-steps", "2", "--caption-steps", "1", "--question-steps", "2", "--batch-size", "2", "--threads", "1"]
    return main(["train", *data, *weights, *steps, "--run", str(run), *more])


def test_files_become_an_adapter_and_a_second_call_adds_nothing(folder, tmp_path, capsys):
    assert train(folder, tmp_path / "run") == 0
    path = capsys.readouterr().out.splitlines()[-1]
    assert path == str(tmp_path / "run" / "adapter.safetensors")
    adapter, tuning = load_adapter(tmp_path / "run" / "adapter.safetensors"), load_tuning(tmp_path / "run" / "adapter.safetensors")
    assert adapter.options.llm_width == tiny_llama.WIDTH
    assert len(tuning.row_scales) == len(tuning.minimum_shifts) == 7 * tiny_llama.NUM_LAYERS
    tuned = load_llama(folder / "language.gguf", tuning=tuning).state_dict()
    plain = load_llama(folder / "language.gguf").state_dict()
    assert not torch.equal(tuned["model.layers.0.mlp.down_proj.weight"], plain["model.layers.0.mlp.down_proj.weight"])
    report = json.loads((tmp_path / "run" / "training.json").read_text())
    assert report["steps"] == 3
    assert set(report["held_out"][-1][1]) == {"presence", "order"}
    assert {"loss.svg", "held_out.svg", "log.tsv", "checkpoint.pt"} <= {file.name for file in (tmp_path / "run").iterdir()}
    before = (tmp_path / "run" / "adapter.safetensors").read_bytes(), (tmp_path / "run" / "features" / "features.bin").read_bytes()
    assert train(folder, tmp_path / "run") == 0
    assert ((tmp_path / "run" / "adapter.safetensors").read_bytes(), (tmp_path / "run" / "features" / "features.bin").read_bytes()) == before


def test_a_folder_is_not_taken_for_another_run(folder, tmp_path, capsys):
    assert train(folder, tmp_path / "run") == 0
    result = (tmp_path / "run" / "adapter.safetensors").read_bytes()
    for changed in (["--question-steps", "3"], ["--seed", "5"], ["--questions", str(folder / "held_out.jsonl")], ["--keep-minimums"]):
        assert train(folder, tmp_path / "run", *changed) == 1
        assert "was begun with other" in capsys.readouterr().err
    assert (tmp_path / "run" / "adapter.safetensors").read_bytes() == result
    assert train(folder, tmp_path / "run", "--threads", "2") == 0  # does not change what is learned


def test_without_frequent_words_the_streams_begin_alike_and_at_the_words_scale(folder, tmp_path, capsys):
    assert train(folder, tmp_path / "run") == 0
    assert "no warm start" in capsys.readouterr().err
    started = load_adapter(tmp_path / "run" / "warm_start.safetensors")
    for name, value in started.alignment.state_dict().items():
        assert torch.equal(value, started.temporal_alignment.state_dict()[name])
    table = load_llama(folder / "language.gguf").get_input_embeddings().weight
    assert started.gain.tolist() == pytest.approx([float(table.square().mean().sqrt())] * 3, rel=1e-2)  # bfloat16 and float16


def test_a_run_can_start_from_an_adapter_and_freeze_the_llm(folder, tmp_path):
    assert train(folder, tmp_path / "first", "--freeze-language") == 0
    assert load_tuning(tmp_path / "first" / "adapter.safetensors").is_empty
    assert train(folder, tmp_path / "second", "--start-from", str(tmp_path / "first" / "adapter.safetensors"), "--keep-minimums") == 0
    tuning = load_tuning(tmp_path / "second" / "adapter.safetensors")
    assert tuning.row_scales
    assert not tuning.minimum_shifts
    assert not (tmp_path / "second" / "warm_start.safetensors").exists()


def test_a_run_can_keep_a_share_of_what_it_started_from(folder, tmp_path, capsys):
    assert train(folder, tmp_path / "first") == 0
    start = tmp_path / "first" / "adapter.safetensors"
    choices = ("--start-from", str(start), "--emphasis", "order")
    assert train(folder, tmp_path / "plain", *choices) == 0
    assert train(folder, tmp_path / "shared", *choices, "--start-share", "0.4") == 0
    paths = [start, *(tmp_path / run / "adapter.safetensors" for run in ("plain", "shared"))]
    begun, trained, shared = (load_adapter(path).state_dict() for path in paths)
    for name, value in shared.items():
        expected = 0.4 * begun[name] + 0.6 * trained[name]
        # the trained numbers are rounded to float16 only in the file of the plain run
        torch.testing.assert_close(value, expected, rtol=2e-3, atol=1e-5)
    assert any(not torch.equal(begun[name], trained[name]) for name in begun)
    scales = [next(iter(load_tuning(path).row_scales.values())) for path in paths]
    np.testing.assert_allclose(scales[2], 0.4 * scales[0] + 0.6 * scales[1], rtol=2e-3, atol=1e-6)
    for wrong in (("--start-share", "0.4"), ("--start-from", str(start), "--start-share", "1"), ("--emphasis", "naming")):
        capsys.readouterr()
        assert train(folder, tmp_path / "wrong", *wrong) == 1
        assert "start_share" in (error := capsys.readouterr().err) or "no question is of the kind 'naming'" in error


def test_what_is_wrong_is_told_in_one_line(folder, tmp_path, capsys):
    (folder / "d.jsonl").write_text('{"image": "absent.jpg", "captions": ["A thing."]}')
    assert train(folder, tmp_path / "run", "--captions", str(folder / "d.jsonl")) == 1
    assert "absent.jpg cannot be read" in capsys.readouterr().err
    (folder / "e.jsonl").write_text('{"image": "language.gguf", "captions": ["A thing."]}')
    assert train(folder, tmp_path / "run2", "--captions", str(folder / "e.jsonl")) == 1
    assert "language.gguf is not a readable image" in capsys.readouterr().err
    write(folder / "long.jsonl", {"image": "a.jpg", "captions": ["word " * 500]})
    assert train(folder, tmp_path / "run4", "--captions", str(folder / "long.jsonl")) == 1
    assert "has 2500 characters" in capsys.readouterr().err
    assert main(["train", "--run", str(tmp_path / "run3"), "--vision", str(folder / "vision.pth"), "--language", str(folder / "language.gguf")]) == 1
    assert "nothing to learn" in capsys.readouterr().err
