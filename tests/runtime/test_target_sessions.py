"""Which graph is opened with what, by target; and a bundle of target tensorrt from its folder to an answer, over stand-ins of driver and TensorRT."""

import dataclasses

import numpy as np
import pytest

import redvillm
from redvillm.errors import BackendError, BundleFileError, BundleTargetError, OptionsError
from redvillm.manifest import Graphs, read_manifest
from redvillm.runtime import decoder, key_value_cache, target_sessions, tensorrt_session
from redvillm.runtime.cuda_session import CUDA_PROVIDER
from redvillm.runtime.key_value_cache import DeviceCache
from redvillm.runtime.options import GenerationOptions
from redvillm.runtime.session import CPU_PROVIDER, open_session
from redvillm.runtime.target_sessions import open_align, open_decoder, open_vision


@pytest.fixture
def bundle_for(tmp_path):
    """A function that returns the folder of a tiny bundle for a target."""
    pytest.importorskip("gguf")
    pytest.importorskip("onnx")
    import tiny_bundle

    def made(target):
        folder = tiny_bundle.write_bundle(tmp_path / target)
        dataclasses.replace(read_manifest(folder), target=target).write(folder)
        return folder

    return made


@pytest.fixture
def manifest_for(fake_bundle):
    return lambda target: dataclasses.replace(read_manifest(fake_bundle), target=target)


@pytest.mark.parametrize(
    ("target", "vision", "align", "decoder_provider"),
    [
        ("cpu", "open_vision_session", CPU_PROVIDER, CPU_PROVIDER),
        ("cuda", CUDA_PROVIDER, CUDA_PROVIDER, CUDA_PROVIDER),
        ("tensorrt", (Graphs.VISION, True), (Graphs.ALIGN, False), CUDA_PROVIDER),
    ],
)
def test_every_target_opens_what_it_should(monkeypatch, tmp_path, manifest_for, target, vision, align, decoder_provider):
    monkeypatch.setattr(target_sessions, "open_session", lambda path, *, provider, threads, spinning=False: provider)
    monkeypatch.setattr(target_sessions, "open_vision_session", lambda path, *, backend, threads: "open_vision_session")
    monkeypatch.setattr(target_sessions, "open_tensorrt_session", lambda folder, manifest, graph, *, in_parts: (graph, in_parts))
    manifest = manifest_for(target)
    assert open_vision(tmp_path / Graphs.VISION, manifest, backend="onnxruntime", threads=None) == vision
    assert open_align(tmp_path / Graphs.ALIGN, manifest, threads=None) == align
    assert open_decoder(tmp_path / Graphs.DECODER, manifest, threads=None) == decoder_provider
    if target != "cpu":
        with pytest.raises(OptionsError, match=f"this bundle is for target '{target}'"):
            open_vision(tmp_path / Graphs.VISION, manifest, backend="openvino", threads=None)


def test_the_gpu_targets_are_refused_in_words_where_something_is_missing(bundle_for, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    if CUDA_PROVIDER not in onnxruntime.get_available_providers():
        with pytest.raises(BackendError, match="no CUDAExecutionProvider"):
            redvillm.load(bundle_for("cuda"), target="cuda")
    with pytest.raises((BackendError, BundleFileError), match=r"no NVIDIA driver|not installed|holds no engine"):
        redvillm.load(bundle_for("tensorrt"), target="tensorrt")
    with pytest.raises(BundleTargetError, match="exported for target 'cuda', 'cpu' was asked for"):
        redvillm.load(tmp_path / "cuda")


@pytest.fixture
def on_stand_ins(machine, monkeypatch):
    """What should run on ONNX Runtime's CUDA provider runs on the CPU, over memory of the stand-in."""
    monkeypatch.setattr(tensorrt_session, "DeviceMemory", machine.gpu.memory)
    monkeypatch.setattr(key_value_cache, "DeviceMemory", machine.gpu.memory)
    monkeypatch.setattr(decoder, "make_cache", lambda session, dimensions, places: DeviceCache(dimensions, places, device_type="cpu"))
    monkeypatch.setattr(target_sessions, "open_session", lambda path, *, provider, threads, spinning=False: open_session(path, threads=threads))


def clip(num_frames):
    return [np.random.default_rng(seed).integers(0, 256, (20, 30, 3), np.uint8) for seed in range(num_frames)]


def answers(folder, target, options):
    with redvillm.load(folder, target=target, threads=1) as model:
        return [model.ask(clip(count), "What is it?", options=options).text for count in (1, 4, 6)], model.providers


@pytest.mark.usefixtures("on_stand_ins")
def test_a_bundle_for_tensorrt_answers_as_one_for_the_cpu(machine):
    options = GenerationOptions(max_new_tokens=8)
    expected, providers = answers(machine.folder, "cpu", options)
    assert set(providers.values()) == {CPU_PROVIDER}
    machine.manifest.write(machine.folder)
    with pytest.raises(BundleFileError, match="redvillm engine"):
        redvillm.load(machine.folder, target="tensorrt")
    machine.build(Graphs.VISION, (1, 1, 3))
    machine.build(Graphs.ALIGN, (1, 4, 4))
    found, providers = answers(machine.folder, "tensorrt", options)
    assert [providers[graph].partition(" on ")[0] for graph in ("vision", "align")] == [f"TensorRT {machine.version}"] * 2
    assert found == expected
    assert machine.gpu.calls("cuGraphLaunch") > 0
