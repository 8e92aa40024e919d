"""`redvillm engine` on a bundle that was exported for tensorrt, with the real parser and builder of TensorRT for RTX."""

import json
import shutil
import subprocess
import sys

import onnx
import pytest
import tiny_checkpoints
from safetensors.torch import load_file, save_file
from tensorrt_needs import needs_rtx

from redvillm.cli import main
from redvillm.engine_key import key_path, read_key
from redvillm.errors import BundleFileError, ParityError
from redvillm.export.bundle import export_checkpoint
from redvillm.export.checkpoint_plan import CheckpointOptions
from redvillm.export.onnx_functions import without_functions
from redvillm.files import sha256_of
from redvillm.manifest import Graphs, read_manifest, verify_files

ARCHITECTURES = ("--architectures", "SM120,SM86,SM89")


@pytest.fixture
def bundle(tensorrt_bundle, tmp_path):
    """A copy, for engines of its own."""
    return shutil.copytree(tensorrt_bundle, tmp_path / "bundle")


def engines(folder):
    return sorted((folder / "engines").glob("*.engine"))


def test_the_gate_of_a_bundle_in_float16(tensorrt_bundle):
    manifest = read_manifest(tensorrt_bundle, target="tensorrt")
    assert all(result.passed for result in manifest.parity)
    assert {result.stage for result in manifest.parity} >= {"visual tokens", "visual tokens of video.onnx, function body", "answer"}
    limits = {result.metric: result.limit for result in manifest.parity if result.stage == "vision features"}
    assert 0.99 < limits["smallest cosine over patches"] < 0.9999  # those of float32 are for another order of sums only
    assert {Graphs.VISION, Graphs.ALIGN, Graphs.VIDEO, Graphs.DECODER} == set(manifest.graphs)
    assert "MultiHeadAttention" not in {node.op_type for node in onnx.load(tensorrt_bundle / Graphs.VISION).graph.node}


@pytest.mark.parametrize(("name", "target", "vision"), [("idefics3", "tensorrt", "int8"), ("internvl", "cuda", "fp16")])
def test_families_pass_the_gate(tmp_path, name, target, vision):
    checkpoint = tiny_checkpoints.write(tmp_path / "checkpoint", name)
    options = CheckpointOptions(decoder="int8", max_frames=4, max_context_tokens=256)
    manifest = export_checkpoint(str(checkpoint), tmp_path / "bundle", options, target=target, vision=vision)
    assert manifest.parity
    assert all(result.passed for result in manifest.parity)
    fused = {node.op_type for node in onnx.load(tmp_path / "bundle" / Graphs.VISION).graph.node} & {"MultiHeadAttention"}
    assert bool(fused) == (target == "cuda")
    assert (Graphs.VIDEO in manifest.graphs) == (target == "tensorrt")


def test_an_llm_in_float16_must_stay_within_it(tmp_path):
    """On a CPU products of float16 are computed in float32, so the answers of this one are right there; a device would store infinity."""
    checkpoint = tiny_checkpoints.write(tmp_path / "checkpoint", "idefics3")
    options = CheckpointOptions(decoder="fp16", max_frames=4, max_context_tokens=256)
    manifest = export_checkpoint(str(checkpoint), tmp_path / "bundle", options, target="cuda")
    (measured,) = (result for result in manifest.parity if result.stage == "decoder in float16")
    assert 0 < measured.value < 0.01
    weights = load_file(checkpoint / "model.safetensors")
    for part, factor in (("post_attention_layernorm", 30), ("mlp.up_proj", 100), ("mlp.down_proj", 1e-3)):
        weights[next(name for name in weights if f"text_model.layers.0.{part}" in name)].mul_(factor)
    save_file(weights, checkpoint / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ParityError, match=r"decoder in float16.*--llm int8") as caught:
        export_checkpoint(str(checkpoint), tmp_path / "large", options, target="cuda")
    assert "answer" not in str(caught.value)
    assert not (tmp_path / "large").exists()
    assert export_checkpoint(str(checkpoint), tmp_path / "cpu", options, target="cpu").parity  # whose products are float32


@needs_rtx
def test_engines_are_built_kept_and_built_again(bundle, capsys):
    assert main(["engine", str(bundle), *ARCHITECTURES]) == 0
    first = capsys.readouterr()
    built = engines(bundle)
    assert [path.name.split("-")[0] for path in built] == ["align", "video", "vision"]
    for path in built:
        key = read_key(path)
        assert key.architectures == ("SM86", "SM89", "SM120")
        assert key.precision == "float16"
        assert path.name in first.out
        assert path.name == key.file_name(path.name.split("-")[0])
        assert key.onnx_sha256 == sha256_of(bundle / f"{path.name.split('-')[0]}.onnx")
    assert "redvillm's plugin" in first.out
    verify_files(bundle, read_manifest(bundle))  # engines are not files of the manifest
    stamps = [path.stat().st_mtime_ns for path in built]

    built[0].write_bytes(b"damaged")
    assert main(["engine", str(bundle), *ARCHITECTURES]) == 0
    second = capsys.readouterr()
    assert second.out.split().count("kept") == 2  # the damaged one was not
    assert [path.stat().st_mtime_ns != stamp for path, stamp in zip(built, stamps, strict=True)] == [True, False, False]
    assert read_key(built[0])

    assert main(["engine", str(bundle), *ARCHITECTURES, "--force", "--graphs", "vision"]) == 0
    assert "kept" not in capsys.readouterr().out.split()
    assert built[2].stat().st_mtime_ns != stamps[2]
    assert engines(bundle) == built


@needs_rtx
def test_a_dry_run_builds_nothing_and_says_what_runs_the_pooling(bundle, tmp_path, capsys):
    arguments = [
        "engine",
        str(bundle),
        "--dry-run",
        "--architectures",
        "SM89",
        "--pooling",
        "function",
        "--frames",
        "2:3:4",
        "--out",
        str(tmp_path / "o"),
    ]
    assert main(arguments) == 0
    table = capsys.readouterr().out
    assert "standard layers" in table
    assert "t2.3.4" in table
    assert not (bundle / "engines").exists()
    assert not (tmp_path / "o").exists()


@needs_rtx
@pytest.mark.parametrize(
    "arguments", [["--architectures", "SM87"], [], ["--architectures", "SM89", "--timing-cache", "c"], ["--pooling", "aot", *ARCHITECTURES]]
)
def test_what_this_tensorrt_cannot_do_is_one_line(bundle, capsys, arguments):
    assert main(["engine", str(bundle), "--graphs", "video", *arguments]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("redvillm: error:")
    assert not engines(bundle)


@needs_rtx
def test_a_folder_named_tensorrt_is_not_taken_for_it(bundle, tmp_path):
    (tmp_path / "tensorrt").mkdir()
    command = [sys.executable, "-m", "redvillm.cli", "engine", str(bundle), "--graphs", "align", "--dry-run", "--architectures", "SM89"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


@needs_rtx
def test_it_works_where_there_is_no_torch_and_no_onnx(bundle):
    code = f"""
import sys
sys.modules.update(dict.fromkeys(("torch", "onnx", "onnxruntime", "transformers", "cv2")))  # importing them is an error
from redvillm.cli import main
sys.exit(main(["engine", {str(bundle)!r}, "--graphs", "align", "--architectures", "SM89"]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert len(engines(bundle)) == 1


@needs_rtx
def test_before_10_7_the_plugin_is_used_all_the_same(bundle, tmp_path):
    """TensorRT 10.3 prefers a function to a plugin, so it is not shown the function; here a newer one is told that it is old."""
    code = f"""
import json, sys
from pathlib import Path
from redvillm.export.engine_build import build
from redvillm.export.engine_options import EngineOptions
from redvillm.export import engine_network
from redvillm.kernels.tensorrt_module import TensorRT
TensorRT.prefers_plugins = property(lambda self: False)
seen = []
given = engine_network.without_functions
engine_network.without_functions = lambda model: seen.append(given(model)) or seen[-1]
options = EngineOptions(precision="float16", architectures=("SM89",), flavour="tensorrt_rtx")
report = build(Path({str(bundle / Graphs.VIDEO)!r}), Path({str(tmp_path)!r}), options, lambda step: None, existing="check")
print(json.dumps([len(seen), [layer.type for layer in report.pooling_layers]]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == [1, ["PLUGIN_V3"]]


def test_without_functions_is_what_onnx_makes_of_it(tensorrt_bundle):
    given = (tensorrt_bundle / Graphs.VIDEO).read_bytes()
    stripped, model = onnx.load_from_string(without_functions(given)), onnx.load_from_string(given)
    assert len(model.functions) == 1
    del model.functions[:]
    assert stripped == model


def test_engines_beside_the_graphs_are_no_fault_and_other_files_are(bundle):
    manifest = read_manifest(bundle)
    (bundle / "engines").mkdir()
    (bundle / "engines" / "video-x.engine").touch()
    key_path(bundle / "engines" / "video-x.engine").touch()
    verify_files(bundle, manifest)
    (bundle / "engines" / "more").mkdir()
    (bundle / "engines" / "more" / "file").touch()
    with pytest.raises(BundleFileError, match="engines/more/file"):
        verify_files(bundle, manifest)
