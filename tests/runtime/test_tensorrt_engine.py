"""Which engine of a bundle is loaded, and every reason why one is not; over stand-ins of driver and TensorRT."""

import dataclasses
import gc
import importlib.util
import inspect
import re

import pytest

from redvillm.engine_key import FrameProfile, key_path, write_key
from redvillm.errors import BackendError, BundleFileError, BundleTargetError
from redvillm.manifest import Graphs, GraphSpec, Tensors, TensorSpec
from redvillm.runtime import tensorrt_session


def test_no_engine_names_the_command(machine):
    with pytest.raises(BundleFileError, match=rf"holds no engine of vision\.onnx; .*redvillm engine {re.escape(str(machine.folder))}"):
        machine.open()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"version": "10.7.0"}, "version is 10.7.0, 10.3.0.26 is wanted"),
        ({"flavour": "tensorrt_rtx"}, "flavour is tensorrt_rtx, tensorrt is wanted"),
        ({"architectures": ("SM86", "SM89")}, r"architectures is SM86\+SM89, SM87 is wanted"),
        ({"onnx_sha256": "0" * 64}, "onnx_sha256 is 000"),
        ({"frames": FrameProfile(2, 2, 3)}, "takes 2 frames and more"),
    ],
)
def test_an_engine_of_another_machine_or_graph_is_refused(machine, changes, reason):
    machine.build(Graphs.VISION, **changes) if "frames" not in changes else machine.build(Graphs.VISION, (2, 2, 3))
    with pytest.raises(BundleTargetError, match=rf"{reason}.*redvillm engine"):
        machine.open()


def test_an_engine_for_too_few_frames_of_a_window_is_refused(machine):
    machine.build(Graphs.ALIGN, (1, 2, 3))
    with pytest.raises(BundleTargetError, match="at most 3 frames, and the window holds 4"):
        machine.open(Graphs.ALIGN)


def test_of_several_engines_the_one_that_fits_best_is_taken(machine):
    machine.build(Graphs.VISION, (1, 2, 3), version="10.4.0")
    for largest in (2, 3, 9, 5, 4):
        machine.build(Graphs.VISION, (1, 2, largest))
    assert "-t1.2.4-" in machine.open().provider
    (next((machine.folder / "engines").glob("*-t1.2.4-*.engine"))).unlink()
    assert "-t1.2.5-" in machine.open().provider


def test_an_altered_engine_and_one_without_its_key_are_refused(machine):
    path = machine.build(Graphs.VISION)
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(BundleFileError, match=r"was altered.*redvillm engine"):
        machine.open()
    key_path(path).unlink()
    with pytest.raises(BundleFileError, match="no readable key"):
        machine.open()


def test_an_engine_that_tensorrt_does_not_load_is_an_error_with_its_words(machine):
    path = machine.build(Graphs.VISION)
    path.write_bytes(b"not an engine")
    write_key(path, machine.key(Graphs.VISION))
    with pytest.raises(BackendError, match=r"cannot load vision-.*magic tag does not match.*redvillm engine"):
        machine.open()


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ({"types": {Tensors.FEATURES: "HALF"}}, "features is float16, float32 is wanted"),
        ({"types": {Tensors.FEATURES: "INT64"}}, "features is int64, float32 is wanted"),
        ({"shapes": {Tensors.PIXELS: [-1, 16, 17, 3]}}, "pixels is .* is wanted"),
        ({"shapes": {Tensors.FEATURES: [-1, 4]}}, "features is .* is wanted"),
        ({"locations": {Tensors.FEATURES: "HOST"}}, "memory of the host"),
        ({"frames": [1, 2, 4]}, "takes 1 to 4 frames, its key says 1 to 3"),
        ({"no_context": True}, "makes no execution context .*no context today"),
    ],
)
def test_an_engine_that_is_not_what_manifest_and_key_say_is_refused(machine, header, reason):
    machine.build(Graphs.VISION, header=header)
    with pytest.raises((BundleFileError, BackendError), match=reason):
        machine.open()
    gc.collect()
    assert machine.gpu.num_held == 0


def test_tensors_that_the_manifest_does_not_know_are_refused(machine):
    machine.build(Graphs.VISION)
    tensor = machine.spec[Graphs.VISION].outputs[0]
    other = GraphSpec(inputs=machine.spec[Graphs.VISION].inputs, outputs=(TensorSpec(name="others", dtype=tensor.dtype, shape=tensor.shape),))
    manifest = dataclasses.replace(machine.manifest, graphs=machine.spec | {Graphs.VISION: other})
    with pytest.raises(BundleFileError, match="others is no output of it; the manifest does not know features"):
        machine.open(manifest=manifest)


def test_an_output_whose_size_tensorrt_learns_when_it_runs_is_taken(machine):
    machine.build(Graphs.VISION, header={"shapes": {Tensors.FEATURES: [-1, 4, 8]}})
    machine.check_features(machine.open(), machine.pixels(2))
    machine.build(Graphs.VISION, header={"shapes": {Tensors.FEATURES: [-1, -1, 8]}})
    with pytest.raises(BackendError, match="gives features of the shape"):  # more than one size follows the frames
        machine.open()


def test_the_plugin_is_registered_for_engines_that_need_it(machine, monkeypatch):
    registered = []
    monkeypatch.setattr("redvillm.runtime.tensorrt_engine.register_plugin", registered.append)
    machine.build(Graphs.VISION)
    machine.open()
    assert registered == []
    for path in (machine.folder / "engines").glob("*.engine"):
        path.unlink()
    machine.build(Graphs.VISION, pooling="plugin")
    machine.open()
    assert [str(tensorrt) for tensorrt in registered] == [f"TensorRT {machine.version}"]


def test_too_little_memory_is_an_error_that_leaves_nothing(machine):
    machine.build(Graphs.VISION)
    machine.gpu.be(memory_bytes=1500)
    with pytest.raises(BackendError, match="close other programs"):
        machine.open()
    gc.collect()
    assert machine.gpu.num_held == 0


def test_no_tensorrt_is_said(machine, monkeypatch):
    def absent():
        raise BackendError("TensorRT is not installed")

    monkeypatch.setattr(tensorrt_session, "load_tensorrt", absent)
    with pytest.raises(BackendError, match="not installed"):
        machine.open()


@pytest.mark.skipif(
    importlib.util.find_spec("tensorrt_rtx") is None, reason="the signatures are those of tensorrt_rtx: pip install 'redvillm[tensorrt]'"
)
def test_the_stand_in_has_the_signatures_of_tensorrt(gpu):
    import fake_tensorrt

    from redvillm.kernels.tensorrt_module import load_tensorrt

    real, fake = load_tensorrt("tensorrt_rtx").module, fake_tensorrt.make_module(gpu.library, "1.7.1", rtx=True)
    for kind in ("ILogger", "Runtime", "ICudaEngine", "IExecutionContext"):
        for name, member in vars(getattr(fake, kind)).items():
            if name.startswith("_") or not callable(member) or inspect.isclass(member):
                continue
            written = getattr(getattr(real, kind), name).__doc__
            legal = [re.findall(r"(\w+): ", re.sub(r" = <[^>]*>|\) -> .*", "", line))[1:] for line in re.findall(rf"{name}\(self: .*", written)]
            assert list(inspect.signature(member).parameters)[1:] in legal, (kind, name)
    for enumeration in ("TensorIOMode", "DataType", "TensorLocation", "ExecutionContextAllocationStrategy", "CudaGraphStrategy"):
        assert set(getattr(fake, enumeration).__members__) <= set(getattr(real, enumeration).__members__)
    assert set(fake.ILogger.Severity.__members__) <= set(real.ILogger.Severity.__members__)
    for kind, name in (("ICudaEngine", "num_io_tensors"), ("ICudaEngine", "device_memory_size_v2"), ("IRuntimeConfig", "cuda_graph_strategy")):
        assert hasattr(getattr(real, kind), name)
