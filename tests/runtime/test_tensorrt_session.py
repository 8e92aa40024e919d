"""Running engines over stand-ins of driver and TensorRT: buffers, shapes, parts, threads and CUDA graphs are real, only the arithmetic is the CPU's.

Results are compared with numpy in float64; the engines compute in float32, hence the tolerances.
"""

import gc
import re
import threading

import numpy as np
import pytest

from redvillm.errors import BackendError
from redvillm.manifest import Graphs, Tensors
from redvillm.runtime.encoder import Aligner, VisionEncoder
from redvillm.runtime.tensorrt_graphs import MAX_GRAPHS


@pytest.mark.parametrize("flavour", ["tensorrt", "tensorrt_rtx"])
def test_any_number_of_frames_in_any_order(machine, flavour):
    machine.install(flavour)
    machine.build(Graphs.VISION)
    session = machine.open()
    kept = [
        (machine.check_features(session, machine.pixels(count, seed)), count, seed) for seed, count in enumerate((1, 3, 2, 1, 1, 1, 3, 3, 3, 7, 8, 2))
    ]
    for features, count, seed in kept:  # an earlier result is not overwritten by a later run
        np.testing.assert_allclose(features, machine.features_of(machine.pixels(count, seed)), rtol=0, atol=1e-5)


def test_it_says_what_runs(machine):
    path = machine.build(Graphs.VISION, precision="float16")
    assert machine.open().provider == f"TensorRT {machine.version} on SM87, float16, engine {path.name}, CUDA graphs"
    machine.install("tensorrt_rtx", "1.7.1")
    path = machine.build(Graphs.VISION)
    assert machine.open().provider == f"TensorRT for RTX 1.7.1 on SM87, float32, engine {path.name}, CUDA graphs of its own"
    assert machine.trt.books.strategies == ["WHOLE_GRAPH_CAPTURE"]


def test_encoder_and_aligner_take_it_for_a_session(machine):
    machine.build(Graphs.VISION)
    machine.build(Graphs.ALIGN, (1, 4, 4))
    dimensions = machine.manifest.dimensions
    encoder = VisionEncoder(machine.open(), dimensions)
    aligner = Aligner(machine.open(Graphs.ALIGN), dimensions, machine.spec[Graphs.ALIGN])
    import onnxruntime

    from redvillm.runtime.clip_pool import KernelClipPool

    reference = onnxruntime.InferenceSession(machine.folder / Graphs.ALIGN, providers=["CPUExecutionProvider"])
    for count in (1, 2, 4, 3, 4):
        pooled = KernelClipPool(dimensions.num_motion_tokens).pool(encoder.encode(machine.pixels(count)))
        streams = (Tensors.TEMPORAL_POOLING, Tensors.SPATIAL_POOLING, Tensors.MOTION_ENERGY)
        expected = reference.run(None, dict(zip(streams, (pooled.temporal_pooling, pooled.spatial_pooling, pooled.motion_energy), strict=True)))[0]
        np.testing.assert_array_equal(aligner.align(pooled), expected)  # the same graph in the same library


def test_frames_that_are_not_contiguous(machine):
    machine.build(Graphs.VISION)
    machine.check_features(machine.open(), machine.pixels(5)[::2])


def test_a_run_allocates_nothing(machine):
    machine.build(Graphs.VISION)
    session = machine.open()
    before = machine.gpu.calls("cuMemAlloc_v2"), machine.gpu.calls("cuMemAllocHost_v2")
    for count in (1, 2, 3, 3, 3, 9):
        machine.check_features(session, machine.pixels(count))
    assert (machine.gpu.calls("cuMemAlloc_v2"), machine.gpu.calls("cuMemAllocHost_v2")) == before == (3, 2)


def test_everything_is_given_back(machine):
    machine.build(Graphs.VISION)
    session = machine.open()
    machine.check_features(session, machine.pixels(3))
    assert machine.gpu.num_held > 0
    del session
    gc.collect()
    assert machine.gpu.num_held == 0


def test_several_threads_may_run_it(machine):
    machine.build(Graphs.VISION)
    session, wrong = machine.open(), []
    machine.trt.books.kernel_s = 1e-3  # while one waits for the device, another comes

    def work(count):
        for seed in range(20):
            pixels = machine.pixels(count, seed)
            features = session.run([Tensors.FEATURES], {Tensors.PIXELS: pixels})[0]
            if not np.allclose(features, machine.features_of(pixels), rtol=0, atol=1e-5):
                wrong.append(count)

    threads = [threading.Thread(target=work, args=(count,)) for count in (1, 2, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_number_that_comes_twice_in_a_row_is_captured(machine):
    machine.build(Graphs.VISION)
    session, gpu = machine.open(), machine.gpu
    assert (gpu.calls("cuGraphInstantiateWithFlags"), gpu.calls("cuGraphLaunch")) == (1, 1)  # one frame, when it was opened
    for count, captured, launched in ((1, 1, 2), (2, 1, 2), (3, 1, 2), (2, 1, 2), (2, 2, 3), (2, 2, 4), (1, 2, 5), (3, 2, 5), (2, 2, 6)):
        machine.check_features(session, machine.pixels(count, seed=launched))
        assert (gpu.calls("cuGraphInstantiateWithFlags"), gpu.calls("cuGraphLaunch")) == (captured, launched), count


def test_a_full_window_replays_and_one_that_fills_does_not(machine):
    machine.build(Graphs.ALIGN, (1, 4, 4))
    machine.open(Graphs.ALIGN)
    assert machine.gpu.calls("cuGraphLaunch") == 1


def test_only_the_graphs_used_last_are_kept(machine):
    machine.build(Graphs.VISION, (1, 8, 16))
    session, gpu = machine.open(), machine.gpu
    for count in range(1, 2 * MAX_GRAPHS + 2):
        for seed in range(3):
            machine.check_features(session, machine.pixels(count, seed))
    captured = 2 * MAX_GRAPHS + 1
    assert (gpu.calls("cuGraphInstantiateWithFlags"), gpu.calls("cuGraphExecDestroy")) == (captured, captured - MAX_GRAPHS)
    for count in range(captured, captured - MAX_GRAPHS, -1):
        machine.check_features(session, machine.pixels(count))
    assert gpu.calls("cuGraphInstantiateWithFlags") == captured


@pytest.mark.parametrize("cause", ["TensorRT", "the driver", "instantiation"])
def test_what_cannot_be_captured_runs_all_the_same_and_is_told(machine, cause):
    path = machine.build(Graphs.VISION)
    if cause == "TensorRT":
        machine.trt.books.refuse_capture = True
    else:
        machine.gpu.fail({"the driver": "cuStreamEndCapture", "instantiation": "cuGraphInstantiateWithFlags"}[cause])
    session = machine.open()
    assert re.search(r"no CUDA graphs \(.+\)$", session.provider), session.provider
    for count in (1, 1, 1, 3, 3, 3, 2):
        machine.check_features(session, machine.pixels(count, count))
    assert machine.gpu.calls("cuGraphLaunch") == 0
    assert path.name in session.provider


def test_more_frames_than_the_profile_are_an_error_where_they_depend_on_each_other(machine):
    machine.build(Graphs.ALIGN, (1, 4, 4))
    session = machine.open(Graphs.ALIGN)
    shapes = {tensor.name: tensor.shape for tensor in machine.spec[Graphs.ALIGN].inputs}
    feeds = {name: np.zeros([5 if isinstance(size, str) else size for size in shape], np.float32) for name, shape in shapes.items()}
    with pytest.raises(BackendError, match=r"takes 1 to 4 frames, 5 were given; .*redvillm engine"):
        session.run([Tensors.VISUAL_TOKENS], feeds)


@pytest.mark.parametrize("fault", ["type", "shape", "name", "output", "none"])
def test_wrong_inputs_are_errors_in_words(machine, fault):
    machine.build(Graphs.VISION)
    session = machine.open()
    pixels = machine.pixels(2)
    outputs = ["nothing"] if fault == "output" else [Tensors.FEATURES]
    feeds = {
        "type": {Tensors.PIXELS: pixels.astype(np.float32)},
        "shape": {Tensors.PIXELS: pixels[:, :-1]},
        "name": {"picture": pixels},
        "output": {Tensors.PIXELS: pixels},
        "none": {Tensors.PIXELS: pixels[:0]},
    }[fault]
    with pytest.raises(BackendError, match=r"is wanted|takes pixels and gives features|takes 1 to 3 frames"):
        session.run(outputs, feeds)
    machine.check_features(session, pixels)


def test_a_run_that_fails_is_an_error_and_the_next_one_is_not(machine):
    machine.build(Graphs.VISION)
    session = machine.open()
    for call in ("cuMemcpyHtoDAsync_v2", "kernel", "cuStreamSynchronize"):
        machine.gpu.fail(call)
        with pytest.raises(BackendError, match=r"running vision-.* on 2 frames failed"):
            session.run([Tensors.FEATURES], {Tensors.PIXELS: machine.pixels(2)})
        machine.check_features(session, machine.pixels(3))
    machine.gpu.fail("cuGraphLaunch")
    with pytest.raises(BackendError, match="on 1 frames failed"):
        machine.check_features(session, machine.pixels(1))
    machine.check_features(session, machine.pixels(1))
