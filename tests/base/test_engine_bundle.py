"""What `redvillm engine` would build, without TensorRT, torch or onnx: the choice of graphs, options and folders, and every refusal."""

import hashlib
import subprocess
import sys

import pytest
from example_manifest import example

from redvillm import zoo
from redvillm.cli import main
from redvillm.engine_key import FrameProfile, engine_precision
from redvillm.errors import BundleError, BundleFileError, BundleSchemaError, BundleTargetError, ExportError, OptionsError
from redvillm.export.engine_bundle import EngineRequest, engine_tasks
from redvillm.export.onnx_functions import without_functions
from redvillm.manifest import FileSpec, Graphs

GRAPHS = (Graphs.VISION, Graphs.ALIGN, Graphs.VIDEO)
PRECISIONS = {
    Graphs.VISION: "int8 weights and activations, float16 between them, float32 features",
    Graphs.ALIGN: "float16",
    Graphs.VIDEO: "float32",
    Graphs.DECODER: "int4",
}


@pytest.fixture
def bundle(tmp_path):
    return write(tmp_path / "bundle")


def write(folder, **changes):
    folder.mkdir(parents=True)
    files = {}
    for name in GRAPHS:
        (folder / name).write_bytes(name.encode())
        files[name] = FileSpec(sha256=hashlib.sha256(name.encode()).hexdigest(), size_bytes=len(name))
    spec = next(iter(example().graphs.values()))
    choices = {"target": "tensorrt", "precision": PRECISIONS, "graphs": dict.fromkeys((*GRAPHS, Graphs.DECODER), spec), "files": files}
    example(**{**choices, **changes}).write(folder)
    return folder


def test_every_graph_becomes_an_engine_of_its_own_precision(bundle):
    tasks = engine_tasks(EngineRequest(bundle=str(bundle), architectures=("SM86",), flavour="tensorrt_rtx"))
    assert [task.onnx for task in tasks] == [bundle / name for name in GRAPHS]
    assert [task.options.precision for task in tasks] == ["int8", "float16", "float32"]
    assert [task.options.pooling for task in tasks] == ["function", "function", "plugin"]
    assert {task.folder for task in tasks} == {bundle / "engines"}
    # live frames come one by one; the window of the example has 16
    assert [task.options.frames for task in tasks] == [FrameProfile(1, 1, 16), FrameProfile(1, 8, 16), FrameProfile(1, 8, 16)]


def test_the_request_reaches_the_options(bundle, tmp_path):
    request = EngineRequest(
        bundle=str(bundle),
        graphs=("video", "align", "video"),
        frames=FrameProfile(2, 3, 4),
        pooling="function",
        workspace_mib=64,
        optimization_level=1,
        timing_cache=tmp_path / "cache",
        out=tmp_path / "out",
    )
    tasks = engine_tasks(request)
    assert [task.name for task in tasks] == ["video", "align"]
    for task in tasks:
        options = task.options
        assert (options.frames, options.pooling, task.folder) == (FrameProfile(2, 3, 4), "function", tmp_path / "out")
        assert (options.workspace_mib, options.optimization_level, options.timing_cache) == (64, 1, tmp_path / "cache")


def test_a_bundle_is_found_by_the_name_of_its_model(isolated_cache):
    with pytest.raises(BundleFileError, match="redvillm export redvillm-nano --target tensorrt"):
        engine_tasks(EngineRequest(bundle=zoo.DEFAULT_MODEL))
    folder = write(zoo.bundle_folder(zoo.DEFAULT_MODEL, "tensorrt"))
    assert engine_tasks(EngineRequest(bundle=zoo.DEFAULT_MODEL))[0].onnx == folder / Graphs.VISION


@pytest.mark.parametrize("target", ["cpu", "cuda"])
def test_bundles_for_other_targets_are_refused(tmp_path, target):
    with pytest.raises(BundleTargetError, match=f"target {target}.*--target tensorrt"):
        engine_tasks(EngineRequest(bundle=str(write(tmp_path / "bundle", target=target))))


@pytest.mark.parametrize("change", ["altered", "missing", "words"])
def test_a_bundle_that_is_not_whole_is_refused(tmp_path, change):
    bundle = write(tmp_path / "bundle", **({"precision": {}} if change == "words" else {}))
    if change == "altered":
        (bundle / Graphs.ALIGN).write_bytes(b"another")
    if change == "missing":
        (bundle / Graphs.ALIGN).unlink()
    with pytest.raises(BundleError):
        engine_tasks(EngineRequest(bundle=str(bundle)))


def test_data_beside_a_graph_is_checked_too(bundle, tmp_path):
    files = {**example().files, f"{Graphs.VISION}.data": FileSpec(sha256="0" * 64, size_bytes=3)}
    other = write(tmp_path / "other", files={name: spec for name, spec in files.items() if name != Graphs.VISION})
    (other / f"{Graphs.VISION}.data").write_bytes(b"abc")
    with pytest.raises(BundleFileError, match=r"vision\.onnx\.data was altered"):
        engine_tasks(EngineRequest(bundle=str(other), graphs=("vision",)))


def test_a_graph_that_is_not_there_is_refused(tmp_path):
    spec = next(iter(example().graphs.values()))
    bundle = write(tmp_path / "bundle", graphs=dict.fromkeys((Graphs.VISION, Graphs.ALIGN, Graphs.DECODER), spec))
    assert [task.name for task in engine_tasks(EngineRequest(bundle=str(bundle)))] == ["vision", "align"]
    with pytest.raises(OptionsError, match=r"'video'.*vision, align"):
        engine_tasks(EngineRequest(bundle=str(bundle), graphs=("video",)))


@pytest.mark.parametrize(
    "choice", [{"pooling": "mean"}, {"flavour": "trt"}, {"architectures": ("86",)}, {"workspace_mib": 0}, {"optimization_level": 9}]
)
def test_impossible_choices_are_refused_before_tensorrt(bundle, choice):
    with pytest.raises(OptionsError):
        engine_tasks(EngineRequest(bundle=str(bundle), **choice))


@pytest.mark.parametrize(
    ("words", "expected"), [("float16", "float16"), ("float32", "float32"), ("int8 weights, float32", "int8"), ("float16, x", "float16")]
)
def test_precisions_are_read_from_the_manifest(words, expected):
    assert engine_precision(words) == expected


@pytest.mark.parametrize("words", ["", "fp16", "about float16"])
def test_other_words_are_no_precision(words):
    with pytest.raises(BundleSchemaError):
        engine_precision(words)


@pytest.mark.parametrize(
    "arguments",
    [
        ["engine"],
        ["engine", "b", "--graphs", "decoder"],
        ["engine", "b", "--graphs", "vision,"],
        ["engine", "b", "--frames", "1:2"],
        ["engine", "b", "--frames", "3:2:1"],
        ["engine", "b", "--frames", "a:b:c"],
        ["engine", "b", "--architectures", "86"],
        ["engine", "b", "--architectures", "SM86,SM86"],
        ["engine", "b", "--flavour", "trt"],
        ["engine", "b", "--pooling", "mean"],
        ["engine", "b", "--workspace-mib", "0"],
        ["engine", "b", "--optimization-level", "6"],
        ["engine", "b", "--fp16"],
    ],
)
def test_wrong_usage_is_status_2(arguments, capsys):
    with pytest.raises(SystemExit) as leaving:
        main(arguments)
    assert leaving.value.code == 2
    assert "error:" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["no/such/folder"], ["{bundle}", "--force", "--dry-run"], ["redvillm-nano"]])
def test_other_errors_are_one_line(bundle, capsys, arguments):
    assert main(["engine", *(word.format(bundle=bundle) for word in arguments)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("redvillm: error:")


def test_choosing_needs_no_heavy_library(bundle):
    code = (
        "import sys\nfrom redvillm.export.engine_bundle import EngineRequest, engine_tasks\n"
        f"assert len(engine_tasks(EngineRequest(bundle={str(bundle)!r}))) == 3\n"
        "import redvillm.export.engine_terminal\n"
        "heavy = {'onnxruntime', 'cv2', 'torch', 'onnx', 'transformers', 'tensorrt', 'tensorrt_rtx'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_functions_are_taken_out_of_any_protocol_buffer():
    ir_version, graph = b"\x08\x0a", b"\x3a\x03abc"
    function = b"\xca\x01\x02xy"  # field 25, two bytes
    others = b"\x11" + bytes(8) + b"\x1d" + bytes(4)  # fixed sizes
    assert without_functions(ir_version + function + graph + others + function) == ir_version + graph + others
    assert without_functions(b"") == b""
    for cut in (function[:-1], b"\xca", b"\xff" * 11, b"\x0b"):
        with pytest.raises(ExportError):
            without_functions(ir_version + cut)
