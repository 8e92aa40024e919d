"""A whole bundle of real graphs, tiny and random: clip to answer, live to answer, and endings of the real program."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import redvillm
from redvillm.errors import BundleFileError, ContextOverflowError, OptionsError
from redvillm.kernels import reference
from redvillm.manifest import Graphs
from redvillm.runtime.language import LanguageModel

pytest.importorskip("onnx")
pytest.importorskip("gguf")
tiny_bundle = pytest.importorskip("tiny_bundle")

OPTIONS = redvillm.GenerationOptions(max_new_tokens=12)
PROGRAM = [sys.executable, "-c", "import sys; from redvillm.cli import main; sys.exit(main(sys.argv[1:]))"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_bundle.write_bundle(tmp_path_factory.mktemp("whole") / "bundle")


@pytest.fixture(scope="module")
def model(folder):
    with redvillm.load(folder, threads=1) as model:
        yield model


def visual_tokens_by_hand(frames):
    """The tiny model in numpy: frames uint8 [T, 16, 16, 3] -> visual tokens."""
    weights = tiny_bundle.random_weights()
    x = (frames.astype(np.float32) / 255).reshape(len(frames), tiny_bundle.NUM_PATCHES, -1) @ weights["encoder"]
    temporal, spatial = reference.spatio_temporal_pool(x)
    motion = reference.motion_energy(reference.frame_energy(x), tiny_bundle.NUM_MOTION)
    return np.concatenate([temporal @ weights["spatial"], spatial @ weights["temporal"], motion @ weights["motion"]])


@pytest.mark.parametrize("num_frames", [1, 3, 4])
def test_an_answer_is_that_of_the_stages_by_hand(model, folder, num_frames):
    frames = np.random.default_rng(num_frames).integers(0, 256, (num_frames, 16, 16, 3), dtype=np.uint8)
    answer = model.ask(frames, "the cat?", options=OPTIONS)
    language = LanguageModel(folder, model.manifest, threads=1)
    language.prefill(visual_tokens_by_hand(frames))
    assert answer.text == "".join(piece.text for piece in language.generate("the cat?", OPTIONS))
    assert answer.stats.num_visual_tokens == tiny_bundle.NUM_PATCHES + num_frames + tiny_bundle.NUM_MOTION
    assert answer.stats.num_prefix_tokens == language.prefix_length_tokens
    assert answer.stats.provider == "CPUExecutionProvider"


def test_a_live_window_answers_as_the_same_frames_offline(model):
    frames = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3), dtype=np.uint8)

    def slowly():
        for frame in frames:
            time.sleep(0.05)
            yield frame

    with model.open(slowly(), rate_hz=500) as stream:
        assert stream.wait_ended(10)
        counts = stream.status.counts
        assert counts.used == counts.captured == 4
        live = stream.ask("the cat?", options=OPTIONS)
        live_tokens = live.stats.num_visual_tokens
        assert live.text  # the float16 window may move a token of so random a model: the streams are compared below
        pooled = stream.snapshot.pooled
    weights = tiny_bundle.random_weights()
    x = (frames.astype(np.float32) / 255).reshape(4, tiny_bundle.NUM_PATCHES, -1) @ weights["encoder"]
    temporal, spatial = reference.spatio_temporal_pool(x)
    np.testing.assert_allclose(pooled.temporal_pooling, temporal, atol=2e-3)  # values of about 1 in float16
    np.testing.assert_allclose(pooled.spatial_pooling, spatial, atol=2e-3)
    assert live_tokens == 10


def test_a_file_offline_and_at_its_own_speed(model, write_clip):
    path = write_clip(num_frames=12, fps=30)
    offline = model.ask(path, ["one", "two"], options=OPTIONS)
    assert offline[1].stats.prefix_reused
    assert offline[0].timings.encode_ms > 0
    with model.open(path, rate_hz=30) as stream:
        answers = list(zip(range(2), stream.ask_every("one", 0.05, options=OPTIONS), strict=False))
        assert all(answer.text is not None for _, answer in answers)
        assert stream.wait_ended(10)


def test_an_answer_with_a_memory_is_that_of_a_cold_prefill_of_the_same_tokens(model, folder, tmp_path, monkeypatch):
    """Chunks are prefilled once and shared; greedy answers are those of all tokens at once."""
    from redvillm.runtime import stream as stream_module

    monkeypatch.setattr(stream_module, "_RESERVED_QUESTION", "the cat?")  # of a tiny context
    monkeypatch.setattr(stream_module, "_RESERVED_ANSWER_TOKENS", 6)
    random = np.random.default_rng(6)
    tokens, texts = [], []
    align = model._aligner.align
    trace = write_trace(tmp_path / "noise.rvtrace", [random.integers(0, 256, (16, 16, 3), dtype=np.uint8) for _ in range(26)])
    with model.open(trace, options=redvillm.StreamOptions(rate_hz=8, window="memory", memory_chunks=2, speed="own", prefill_every_s=0.0)) as stream:
        while not stream.wait_ended(0.3):
            answer = stream.ask("the cat?", options=redvillm.GenerationOptions(max_new_tokens=6), max_evidence_age_ms=0)
            snapshot = stream.snapshot
            texts.append(answer.text)
            if answer.evidence.snapshot_version == snapshot.version:
                tokens.append((len(texts) - 1, np.concatenate([*(align(chunk)[:4] for chunk in snapshot.remembered), align(snapshot.pooled)])))
    assert len(tokens) >= 3
    assert any(len(visual) > 10 for _, visual in tokens)
    cold = LanguageModel(folder, model.manifest, threads=1)
    for index, visual in tokens:
        cold.prefill(visual)
        expected = "".join(piece.text for piece in cold.generate("the cat?", redvillm.GenerationOptions(max_new_tokens=6)))
        assert texts[index] == expected


def write_trace(path, pictures):
    from redvillm.runtime.frame import Frame
    from redvillm.runtime.trace_writer import TraceWriter

    writer = TraceWriter(path, {}, max_bytes=1 << 24)
    for index, picture in enumerate(pictures):
        assert writer.add_frame(Frame(picture, 0.0), index * 0.125)
    writer.close()
    return path


def test_an_overflow_is_told_before_anything_runs(model):
    with pytest.raises(ContextOverflowError, match="context holds"):
        model.ask("/nowhere.mp4", "x" * 200)


def test_bad_threads(folder):
    with pytest.raises(OptionsError, match="threads"):
        redvillm.load(folder, threads=0)


def test_a_graph_that_is_none(folder, tmp_path):
    import dataclasses
    import shutil

    from redvillm.manifest import describe_files, read_manifest

    broken = tmp_path / "broken"
    shutil.copytree(folder, broken)
    (broken / Graphs.VISION).write_bytes(b"not a graph")
    dataclasses.replace(read_manifest(broken), files=describe_files(broken)).write(broken)
    with pytest.raises(BundleFileError, match=r"vision\.onnx cannot be opened"):
        redvillm.load(broken)


def test_the_program_answers(folder, write_clip):
    command = [*PROGRAM, "ask", str(write_clip()), "the cat?", "a cat?", "--model", str(folder), "--max-new-tokens", "8", "--json"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.stderr == ""
    assert result.returncode == 0
    assert [answer["question"] for answer in json.loads(result.stdout)["answers"]] == ["the cat?", "a cat?"]


@pytest.mark.parametrize("arguments", [["--json"], []])
def test_ctrl_c_ends_the_program(folder, write_clip, arguments):
    command = [
        *PROGRAM,
        "live",
        "--source",
        str(write_clip(fps=30)),
        "--loop",
        "--ask",
        "the cat?",
        "--every",
        "0.2s",
        "--model",
        str(folder),
        *arguments,
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        killer = threading.Timer(60, process.kill)
        killer.start()
        assert process.stdout.readline()  # it runs
        time.sleep(0.5)
        os.kill(process.pid, signal.SIGINT)
        _, errors = process.communicate()
        killer.cancel()
    assert process.returncode == 130
    assert "Traceback" not in errors
