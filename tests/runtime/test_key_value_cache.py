"""The KV cache on a GPU against that of the host: the same decoder on the CPU over either memory gives the same bits.

"On a GPU" is memory of a stand-in of the driver, which ONNX Runtime takes for its own; its copies only happen when they are waited for.
"""

import gc

import numpy as np
import pytest

from redvillm.errors import BackendError
from redvillm.manifest import Graphs, read_manifest
from redvillm.runtime import decoder as decoder_module
from redvillm.runtime.cuda_session import CUDA_PROVIDER
from redvillm.runtime.decoder import Decoder
from redvillm.runtime.key_value_cache import DeviceCache, HostCache, make_cache
from redvillm.runtime.language import LanguageModel
from redvillm.runtime.options import GenerationOptions
from redvillm.runtime.session import open_session

OPTIONS = GenerationOptions(max_new_tokens=12)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    pytest.importorskip("gguf")
    pytest.importorskip("onnx")
    import tiny_llama

    folder = tmp_path_factory.mktemp("decoder")
    tiny_llama.export_language(tiny_llama.write_gguf(folder / "m.gguf"), folder)
    return tiny_llama.make_manifest(stop_token_ids=()), folder


@pytest.fixture(scope="module")
def three_part_bundle(tmp_path_factory):
    """A bundle whose positions have three parts."""
    pytest.importorskip("torch")
    pytest.importorskip("gguf")
    import tiny_checkpoints

    from redvillm.export.bundle import export_checkpoint
    from redvillm.export.checkpoint_plan import CheckpointOptions
    from redvillm.export.image_llm import TakeOptions

    folder = tmp_path_factory.mktemp("rotary")
    options = CheckpointOptions(max_frames=6, max_context_tokens=256, take=TakeOptions(frame_height=48, frame_width=80), decoder="int8")
    export_checkpoint(str(tiny_checkpoints.write(folder / "checkpoint", "qwen2_5_vl")), folder / "bundle", options, vision="fp32", check=False)
    return folder / "bundle"


@pytest.fixture
def on_device(gpu, monkeypatch):
    """A function that makes what is opened in it keep its caches on the device."""

    def opened(open_one):
        with pytest.MonkeyPatch.context() as patch:
            make = lambda session, dimensions, places: DeviceCache(dimensions, places, gpu.memory(), device_type="cpu")  # noqa: E731
            patch.setattr(decoder_module, "make_cache", make)
            return open_one()

    return opened


def rows(count, width, seed=0):
    return np.random.default_rng(seed).normal(size=(count, width)).astype(np.float32)


def drive(decoders, width):
    """Steps, slices, rewinding and copies between two decoders of different sizes; return all logits."""
    one, other = decoders
    logits = [one.forward(rows(9, width), [0, 8]), one.forward(rows(1, width, 1), [0])]
    one.rewind(4)
    logits.append(one.forward(rows(3, width, 2), range(3)))
    other.forward(rows(2, width, 3), [])
    other.rewind(0)
    other.copy_positions(one, 5)
    logits.append(other.forward(rows(2, width, 4), [1]))
    one.rewind(3)
    one.copy_positions(other, 6)
    one.copy_positions(other, 6)
    logits.append(one.forward(rows(1, width, 5), [0]))
    logits.append(other.forward(rows(1, width, 5), [0]))
    return np.concatenate(logits)


def test_both_give_the_same_logits(tiny, gpu, on_device):
    manifest, folder = tiny
    session = open_session(folder / Graphs.DECODER, threads=1)

    def decoders():
        return [Decoder(session, manifest.dimensions, size) for size in (40, 27)]

    expected = drive(decoders(), manifest.dimensions.llm_width)
    assert np.isfinite(expected).all()
    moved = gpu.calls("cuMemcpyHtoDAsync_v2")
    np.testing.assert_array_equal(drive(on_device(decoders), manifest.dimensions.llm_width), expected)
    assert gpu.calls("cuMemcpyHtoDAsync_v2") == moved == 0  # the cache never leaves the device, nor comes to it
    assert gpu.calls("cuMemAlloc_v2") == 2 * 2 * manifest.dimensions.num_layers


def test_both_give_the_same_answers(tiny, on_device):
    manifest, folder = tiny
    width = manifest.dimensions.llm_width

    def answers(model):
        kept = rows(11, width)
        found = []
        for segments in ((kept, rows(40, width, 1)), (kept, rows(3, width, 2)), (rows(5, width, 3),), (kept, rows(2, width, 4))):
            model.prefill(*segments)
            pieces = list(model.generate("what is in the end?", OPTIONS))
            found.append([piece.token_id for piece in pieces])
            draft = found[-1][:7]
            found.append([piece.token_id for piece in model.generate("what is in the end?", OPTIONS, draft)])
            found.append(model.judge("is it?")[1])
        return found

    expected = answers(LanguageModel(folder, manifest, threads=1))
    assert answers(on_device(lambda: LanguageModel(folder, manifest, threads=1))) == expected


def test_rotary_tables_follow_on_the_device(three_part_bundle, gpu, on_device):
    manifest = read_manifest(three_part_bundle)
    assert manifest.rotary.sections
    width, patches = manifest.dimensions.llm_width, manifest.dimensions.num_patches

    def likelihoods(model):
        kept, found = rows(patches + 2, width), []
        for segments in ((kept, rows(patches + 5, width, 1)), (kept, rows(patches + 1, width, 2)), (kept,), (rows(patches + 1, width, 3), kept)):
            model.prefill(*segments)
            found += [model.likelihood(question, "a cat") for question in ("What is it?", "Is it there?")]
        return found

    expected = likelihoods(LanguageModel(three_part_bundle, manifest, threads=1))
    model = on_device(lambda: LanguageModel(three_part_bundle, manifest, threads=1))
    assert likelihoods(model) == expected
    for slot in (model._prefixes._front, model._prefixes._back):  # what was copied from cache to cache too
        for name, table in slot.decoder._rotary.tables.items():
            found = np.empty_like(table)
            slot.decoder._cache._memory.download(found, slot.decoder._cache._tables[name][0])
            slot.decoder._cache._memory.synchronize()
            np.testing.assert_array_equal(found[: slot.decoder.length], table[: slot.decoder.length])
    assert len(set(expected)) == len(expected)
    assert gpu.calls("cuMemcpyHtoDAsync_v2") > 0


def test_a_gpu_always_computes_a_row_of_logits(tiny, monkeypatch):
    """Prefill asks for none; on CUDA the graph gets one row, which is not handed on."""
    manifest, folder = tiny
    width = manifest.dimensions.llm_width
    session = open_session(folder / Graphs.DECODER, threads=1)
    asked = []
    run_bound = session.run_bound

    def recorded(binding):
        run_bound(binding)
        asked.extend(len(value) for value in binding.copy_outputs_to_cpu() if value.ndim == 2)  # the logits

    monkeypatch.setattr(session, "run_bound", recorded)
    found = []
    for provider in (session.provider, CUDA_PROVIDER):
        session.provider = provider
        decoder = Decoder(session, manifest.dimensions, 20, cache=HostCache(manifest.dimensions, 20))
        assert decoder.forward(rows(9, width), []).shape == (0, manifest.dimensions.vocabulary_size)
        found.append(decoder.forward(rows(2, width, 1), [1]))
    np.testing.assert_array_equal(*found)
    assert asked == [0, 1, 1, 1]


def test_where_the_session_runs_decides(tiny, monkeypatch):
    manifest, folder = tiny
    session = open_session(folder / Graphs.DECODER, threads=1)
    assert isinstance(make_cache(session, manifest.dimensions, 8), HostCache)
    session.provider = CUDA_PROVIDER

    def no_driver():
        raise BackendError("no driver")

    monkeypatch.setattr("redvillm.runtime.key_value_cache.DeviceMemory", no_driver)
    with pytest.raises(BackendError, match="no driver"):  # and not the host's
        make_cache(session, manifest.dimensions, 8)


def test_memory_is_given_back_and_too_little_is_said(tiny, gpu):
    dimensions = tiny[0].dimensions
    cache = DeviceCache(dimensions, 100, gpu.memory(), device_type="cpu")
    assert gpu.num_held > 0
    del cache
    gc.collect()
    assert gpu.num_held == 0
    gpu.be(memory_bytes=1000)
    with pytest.raises(BackendError, match="shorter context"):
        DeviceCache(dimensions, 100, gpu.memory(), device_type="cpu")
    gc.collect()
    assert gpu.num_held == 0
