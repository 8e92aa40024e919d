"""The runtime on a GPU: what the other tests check over stand-ins. Run with: make gpu-test, or: pytest -m gpu. *Not yet run on a device.*"""

import numpy as np
import pytest
from tensorrt_needs import HAS_TENSORRT, IS_RTX, has_driver

from redvillm.manifest import Graphs, Tensors, read_manifest
from redvillm.runtime.cuda_session import CUDA_PROVIDER
from redvillm.runtime.decoder import Decoder
from redvillm.runtime.device_memory import DeviceMemory
from redvillm.runtime.key_value_cache import DeviceCache
from redvillm.runtime.session import CPU_PROVIDER, open_session
from redvillm.runtime.tensorrt_session import open_tensorrt_session

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not has_driver(), reason="needs an NVIDIA driver")]


def test_bytes_rows_and_graphs():
    memory = DeviceMemory()
    address, host = memory.allocate(1000), memory.allocate_host(1000)
    host[:] = np.arange(1000) % 251
    memory.upload(address, host)
    memory.copy_rows(address + 500, address, num_rows=3, num_bytes=10, target_pitch_bytes=100, source_pitch_bytes=20)
    back = np.zeros(1000, np.uint8)
    memory.download(back, address)
    memory.synchronize()
    expected = host.copy()
    for row in range(3):
        expected[500 + 100 * row :][:10] = host[20 * row :][:10]
    np.testing.assert_array_equal(back, expected)
    replayed = memory.allocate_host(1000)

    def enqueue():
        memory.upload(address, host)
        memory.download(replayed, address)

    graph = memory.capture(enqueue)
    for value in (3, 7):
        host[:] = value
        graph.launch()
        memory.synchronize()
        assert (replayed == value).all()


def test_the_cache_is_copied_on_the_device(dimensions):
    memories = DeviceMemory(), DeviceMemory()
    source, target = (DeviceCache(dimensions, places, memory) for places, memory in zip((40, 27), memories, strict=True))
    shape = (dimensions.num_kv_heads, 40, dimensions.head_width)
    values = np.random.default_rng(0).normal(size=shape).astype(np.float16)
    for address in source._buffers.values():
        memories[0].upload(address, values)
    memories[0].synchronize()
    target.copy(source, 3, 20)
    found = np.empty((dimensions.num_kv_heads, 27, dimensions.head_width), np.float16)
    for address in target._buffers.values():
        memories[1].download(found, address)
        memories[1].synchronize()
        np.testing.assert_array_equal(found[:, 3:20], values[:, 3:20])
        assert not found[:, :3].any()
        assert not found[:, 20:].any()


@pytest.fixture
def folder(tmp_path):
    pytest.importorskip("gguf")
    pytest.importorskip("onnx")
    import tiny_bundle

    return tiny_bundle.write_bundle(tmp_path / "bundle")


def test_onnxruntime_on_the_gpu_gives_what_the_cpu_gives(folder):
    onnxruntime = pytest.importorskip("onnxruntime")
    if CUDA_PROVIDER not in onnxruntime.get_available_providers():
        pytest.skip("needs onnxruntime-gpu")
    on_cpu, on_gpu = (open_session(folder / Graphs.VISION, provider=provider) for provider in (CPU_PROVIDER, CUDA_PROVIDER))
    for num_frames in (1, 4, 2):
        pixels = np.random.default_rng(num_frames).integers(0, 256, (num_frames, 16, 16, 3), np.uint8)
        results = [session.run([Tensors.FEATURES], {Tensors.PIXELS: pixels})[0] for session in (on_cpu, on_gpu)]
        np.testing.assert_allclose(*results, rtol=0, atol=1e-5)  # float32 sums of 192 products of size one, in another order


def test_a_decoder_on_the_gpu_gives_what_the_cpu_gives(folder):
    onnxruntime = pytest.importorskip("onnxruntime")
    if CUDA_PROVIDER not in onnxruntime.get_available_providers():
        pytest.skip("needs onnxruntime-gpu")
    dimensions = read_manifest(folder).dimensions
    random = np.random.default_rng(0)
    kept, step = (random.normal(size=(count, dimensions.llm_width)).astype(np.float32) for count in (9, 1))
    found = []
    for provider in (CPU_PROVIDER, CUDA_PROVIDER):
        decoder = Decoder(open_session(folder / Graphs.DECODER, provider=provider), dimensions, 40)
        assert len(decoder.forward(kept, [])) == 0
        found.append(np.concatenate([decoder.forward(step, [0]) for _ in range(3)]))
    # activations in 8 bits on the CPU, and attention in float16 on the GPU
    np.testing.assert_allclose(*found, rtol=0, atol=0.05 * np.abs(found[0]).max())


@pytest.mark.skipif(not HAS_TENSORRT, reason="needs TensorRT")
def test_an_engine_gives_what_the_cpu_gives(folder):
    engine = pytest.importorskip("redvillm.export.engine", reason="engines are built by the export half")
    from redvillm.engine_key import FrameProfile

    memory = DeviceMemory()
    options = engine.EngineOptions(
        precision="float32", pooling="function", frames=FrameProfile(1, 2, 4), architectures=(memory.architecture,) if IS_RTX else ()
    )
    manifest = read_manifest(folder)
    feeds = {
        Graphs.VISION: lambda count, random: {Tensors.PIXELS: random.integers(0, 256, (count, 16, 16, 3), np.uint8)},
        Graphs.ALIGN: lambda count, random: {
            tensor.name: random.normal(size=[count if isinstance(size, str) else size for size in tensor.shape]).astype(np.float32)
            for tensor in manifest.graphs[Graphs.ALIGN].inputs
        },
    }
    for graph, make in feeds.items():
        engine.build_engine(folder / graph, options)
        outputs = [tensor.name for tensor in manifest.graphs[graph].outputs]
        session, reference = open_tensorrt_session(folder, manifest, graph, in_parts=graph == Graphs.VISION), open_session(folder / graph)
        assert "no CUDA graphs" not in session.provider
        for seed, count in enumerate((1, 4, 4, 4, 2, 1, 3) + ((9,) if graph == Graphs.VISION else ())):
            given = make(count, np.random.default_rng(seed))
            found, wanted = session.run(outputs, given)[0], reference.run(outputs, given)[0]
            assert found.shape == wanted.shape
            np.testing.assert_allclose(found, wanted, rtol=0, atol=5e-3 * np.abs(wanted).max())  # TensorFloat-32 products have ten bits of fraction
