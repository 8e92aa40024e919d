"""The export of a whole bundle, with a tiny vision encoder, adapter and Llama in place of the real weights."""

import shutil
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
import tiny_llama
import torch
from tiny_encoder import TinyEncoder

from redvillm import zoo
from redvillm.engine_key import engine_precision
from redvillm.errors import ExportError, OptionsError, ParityError
from redvillm.export import bundle, composition, nano
from redvillm.export.adapter import Adapter, AdapterOptions
from redvillm.export.calibration import parity_frames
from redvillm.export.composition import VisionSide
from redvillm.export.graph_run import run_graph
from redvillm.export.nano import NanoSources
from redvillm.export.targets import VisionChoice
from redvillm.export.tuning import NO_TUNING, LanguageTuning
from redvillm.kernels.ort_library import ort_library_path
from redvillm.manifest import Graphs, Tensors, read_manifest, verify_files

NAME = zoo.DEFAULT_MODEL
SIZES = AdapterOptions(num_patches=4, vision_width=6, llm_width=tiny_llama.WIDTH, num_motion_tokens=3, hidden_width=7, motion_hidden_width=5)


@pytest.fixture
def sources(tmp_path, monkeypatch):
    torch.manual_seed(0)
    vision = VisionSide(TinyEncoder().eval(), Adapter(SIZES).eval(), tiny_tuning(), 8)
    llm = tiny_llama.write_gguf(tmp_path / "tiny.gguf")
    monkeypatch.setattr(nano, "locate_sources", lambda model, own_adapter: NanoSources(tmp_path / "v", llm, tmp_path / "a", ()))
    monkeypatch.setattr(nano, "load_vision", lambda sources: vision)
    monkeypatch.setattr(nano, "MAX_CONTEXT_TOKENS", tiny_llama.MAX_CONTEXT_TOKENS)
    return vision


def tiny_tuning() -> LanguageTuning:
    """Of one matrix and one norm."""
    random = np.random.default_rng(0)
    return LanguageTuning(
        row_scales={"blk.1.ffn_up.weight": random.normal(0, 0.1, tiny_llama.FEED_FORWARD_WIDTH).astype(np.float32)},
        norms={"blk.0.attn_norm.weight": random.normal(0, 0.1, tiny_llama.WIDTH).astype(np.float32)},
    )


def left_over(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.startswith(".") or path.name == "out")


def test_a_bundle_is_complete_checked_and_reproducible(sources, tmp_path):
    steps = []
    manifest = bundle.export_bundle(NAME, tmp_path / "out", progress=steps.append)
    assert read_manifest(tmp_path / "out", target="cpu") == manifest
    verify_files(tmp_path / "out", manifest)
    assert {Graphs.VISION, Graphs.VIDEO, Graphs.ALIGN, Graphs.DECODER} == set(manifest.graphs)
    stages = {result.stage for result in manifest.parity}
    assert ("visual tokens of video.onnx, redvillm_ort" in stages) == (ort_library_path() is not None)
    assert stages >= {
        "vision features",
        "pooled streams",
        "visual tokens",
        "visual tokens of video.onnx, function body",
        "first-token logits, function body",
        "greedy text, function body",
    }
    assert all(result.passed for result in manifest.parity)
    assert any(Graphs.DECODER in step for step in steps)
    again = bundle.export_bundle(NAME, tmp_path / "again")
    assert again.files == manifest.files


def test_the_precision_of_the_vision_encoder_is_chosen_and_told(sources, tmp_path):
    exact = bundle.export_bundle(NAME, tmp_path / "exact", vision="fp32")
    small = bundle.export_bundle(NAME, tmp_path / "small")
    assert exact.precision[Graphs.VISION] == "float32"
    assert "int8" in small.precision[Graphs.VISION]
    assert exact.graphs == small.graphs  # the runtime sees no difference
    differing = {name for name in exact.files if exact.files[name] != small.files[name]}
    assert differing == {Graphs.VISION}
    limits = [{result.metric: result.limit for result in manifest.parity if result.stage == "vision features"} for manifest in (exact, small)]
    assert limits[0]["smallest cosine over patches"] > limits[1]["smallest cosine over patches"]
    with pytest.raises(OptionsError, match="int8, fp32"):
        bundle.export_bundle(NAME, tmp_path / "wrong", vision="int4")


def test_bundles_for_gpus_have_the_same_borders(sources, tmp_path):
    cpu = bundle.export_bundle(NAME, tmp_path / "cpu", check=False)
    for target, vision, precision in (("tensorrt", None, "float16"), ("cuda", "fp32", "float32")):
        out = tmp_path / f"{target}-{vision}"
        manifest = bundle.export_bundle(NAME, out, target=target, vision=vision, check=vision is None)
        assert read_manifest(out, target=target) == manifest
        verify_files(out, manifest)
        assert all(result.passed for result in manifest.parity)
        assert ("visual tokens of video.onnx, function body" in {result.stage for result in manifest.parity}) == (vision is None)
        graphs = {*cpu.graphs} if target == "tensorrt" else {*cpu.graphs} - {Graphs.VIDEO}
        assert manifest.graphs == {name: cpu.graphs[name] for name in graphs}
        for name in ("decoder.onnx", "decoder.onnx.data", "embeddings.codes.npy", "tokenizer.json"):
            assert manifest.files[name] == cpu.files[name]
        assert engine_precision(manifest.precision[Graphs.VISION]) == precision
        assert engine_precision(manifest.precision[Graphs.ALIGN]) == ("float32" if vision == "fp32" else "float16")


class Loud(TinyEncoder):
    """The same features, by way of values that float16 cannot hold."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        x = pixels.to(self.convolution.weight.dtype).permute(0, 3, 1, 2) / 255
        return (torch.relu(self.convolution(x) * 1000.0) * 1000.0 / 1000.0 / 1000.0).flatten(2).transpose(1, 2)


def test_values_that_float16_cannot_hold_fail_the_export(sources, tmp_path, monkeypatch):
    loud = Loud().eval()
    loud.load_state_dict(sources.encoder.state_dict())
    monkeypatch.setattr(nano, "load_vision", lambda sources: VisionSide(loud, Adapter(SIZES).eval(), NO_TUNING, 8))
    with pytest.raises(ParityError, match=r"'vision features'.*it begins at .*float16 ends at 65504"):
        bundle.export_bundle(NAME, tmp_path / "out", target="tensorrt")
    assert left_over(tmp_path) == []
    # in one session ONNX Runtime computes the chain in float32, so the gate could not have seen it
    fit, graph = sources.fit, tmp_path / "vision.onnx"
    export_vision(loud, fit, graph, VisionChoice("tensorrt", "fp16"))
    (features,) = run_graph(graph, {Tensors.PIXELS: parity_frames(fit)})
    assert np.isfinite(features).all()


def test_the_space_that_a_model_needs_is_asked_for_before_it_is_written(sources, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(1 << 40, 0, 10_500_000))
    assert bundle.export_bundle(NAME, tmp_path / "small", check=False).parity == ()  # a tiny model has room in 10 MB
    monkeypatch.setattr(bundle, "planned_bytes", lambda plan, choice: 6_000_000)
    with pytest.raises(ExportError, match="the export needs 12 MB"):
        bundle.export_bundle(NAME, tmp_path / "large", check=False)
    assert not (tmp_path / "large").exists()


def test_an_8_bit_encoder_that_is_wrong_fails_the_export(sources, tmp_path, monkeypatch):
    torch.manual_seed(9)
    other = TinyEncoder().eval()
    monkeypatch.setattr(bundle, "export_vision", lambda encoder, size, path, choice: export_vision(other, size, path, choice))
    with pytest.raises(ParityError, match=r"'vision features'.*it begins at Conv"):
        bundle.export_bundle(NAME, tmp_path / "out")
    assert left_over(tmp_path) == []


def test_a_differing_stage_fails_the_export_and_is_named(sources, tmp_path, monkeypatch):
    other = Adapter(SIZES).eval()
    monkeypatch.setattr(bundle, "export_align", lambda adapter, path, **choices: export_align(other, path, **choices))
    with pytest.raises(ParityError, match="'visual tokens'"):
        bundle.export_bundle(NAME, tmp_path / "out")
    assert left_over(tmp_path) == []


def test_a_wrong_decoder_fails_the_export(sources, tmp_path, monkeypatch):
    llm = tiny_llama.write_gguf(tmp_path / "other.gguf", seed=5)
    monkeypatch.setattr(composition, "load_text_llm", lambda path, tuning: load_llama(llm, tuning=tuning))
    with pytest.raises(ParityError, match="first-token logits, function body"):
        bundle.export_bundle(NAME, tmp_path / "out")


def test_a_tuning_that_is_not_exported_fails_the_export(sources, tmp_path, monkeypatch):
    strong = LanguageTuning(row_scales={"blk.0.ffn_down.weight": np.full(tiny_llama.WIDTH, 0.8, np.float32)})
    monkeypatch.setattr(composition, "load_text_llm", lambda path, tuning: load_llama(path, tuning=strong))
    with pytest.raises(ParityError, match=r"first-token logits, function body.*it begins in layer 0 of 2"):
        bundle.export_bundle(NAME, tmp_path / "out")


def test_an_interrupted_export_leaves_nothing(sources, tmp_path, monkeypatch):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(bundle, "check_parity", interrupt)
    with pytest.raises(KeyboardInterrupt):
        bundle.export_bundle(NAME, tmp_path / "out")
    assert left_over(tmp_path) == []


def test_an_existing_folder_is_only_replaced_when_told(sources, tmp_path):
    bundle.export_bundle(NAME, tmp_path / "out", check=False)
    with pytest.raises(OptionsError, match="--force"):
        bundle.export_bundle(NAME, tmp_path / "out", check=False)
    assert bundle.export_bundle(NAME, tmp_path / "out", force=True, check=False).parity == ()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    with pytest.raises(OptionsError, match="not a bundle"):
        bundle.export_bundle(NAME, tmp_path / "mine", force=True)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "precious"


def test_the_reference_is_not_loaded_where_nothing_is_compared(sources, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError

    monkeypatch.setattr(composition, "load_text_llm", refuse)
    assert bundle.export_bundle(NAME, tmp_path / "out", check=False).parity == ()


def test_too_little_space_is_found_before_work(sources, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10, 9, 1))
    with pytest.raises(ExportError, match="free some space"):
        bundle.export_bundle(NAME, tmp_path / "out")


def test_targets_and_models_are_named(tmp_path):
    with pytest.raises(OptionsError, match="cpu, cuda, tensorrt"):
        bundle.export_bundle(NAME, tmp_path / "out", target="fpga")
    with pytest.raises(OptionsError, match="does not take --vision int8"):
        bundle.export_bundle(NAME, tmp_path / "out", target="cuda", vision="int8")
    with pytest.raises(OptionsError, match="does not take --vision fp16"):
        bundle.export_bundle(NAME, tmp_path / "out", vision="fp16")
    with pytest.raises(OptionsError, match=NAME):
        bundle.export_bundle("no-such-model", tmp_path / "out")


def test_widths_must_match(sources, tmp_path, monkeypatch):
    sizes = AdapterOptions(num_patches=4, vision_width=6, llm_width=32, num_motion_tokens=3)
    narrow = VisionSide(TinyEncoder(), Adapter(sizes), NO_TUNING, 8)
    monkeypatch.setattr(nano, "load_vision", lambda sources: narrow)
    with pytest.raises(ExportError, match="width 32"):
        bundle.export_bundle(NAME, tmp_path / "out")


export_align, export_vision, load_llama = bundle.export_align, bundle.export_vision, composition.load_text_llm
