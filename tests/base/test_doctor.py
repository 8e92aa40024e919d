"""redvillm.doctor: what it finds on this machine, and on machines that are broken in known ways."""

import importlib.metadata
import json
import sys
import types
from pathlib import Path

import pytest

from redvillm import doctor
from redvillm.doctor import Check, Status, distributions, installation, openvino, pooling_op, providers, report, storage, subprobe, targets, video
from redvillm.doctor.onnx_probe_model import probe_model
from redvillm.kernels import ort_library


def test_the_probe_model_is_valid_onnx():
    onnx = pytest.importorskip("onnx", reason="onnx comes with the extra export")
    model = onnx.load_from_string(probe_model())
    onnx.checker.check_model(model, full_check=True)
    assert [node.op_type for node in model.graph.node] == ["Add"]
    assert model.SerializeToString() == probe_model()


def test_the_cpu_provider_really_computes():
    check = providers.check_provider("CPUExecutionProvider")
    assert (check.status, check.fix) == (Status.OK, "")


def test_a_provider_that_is_listed_but_does_not_work():
    check = providers.check_provider("CUDAExecutionProvider")
    if check.status is Status.OK:
        pytest.skip("this machine has a working CUDA provider")
    assert check.status is Status.WARNING
    assert "redvillm[gpu]" in check.fix


def test_the_missing_library_is_named(monkeypatch: pytest.MonkeyPatch):
    log = "[E:onnxruntime] [1 : FAIL : Failed to load library /a/libx_cuda.so with error: libcublasLt.so.13: cannot open shared object file\n[W:...]"
    answer = {"works": False, "reason": "nodes that are assigned to the default CPU EP", "log": log}
    monkeypatch.setattr(providers, "run_subprobe", lambda module, argument, timeout_s: answer)
    check = providers.check_provider("CUDAExecutionProvider")
    assert check.detail == "listed, but does not work: libcublasLt.so.13: cannot open shared object file"


def targets_of(monkeypatch: pytest.MonkeyPatch, answer: dict[str, object], **works: Status) -> dict[str, Check]:
    """What is said of the targets, given what the probe answered and how the providers of onnxruntime do."""
    monkeypatch.setattr(targets, "run_subprobe", lambda module, argument, timeout_s: answer)
    names = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
    listed = [Check(group="onnxruntime", name=names[name], status=status, detail=f"words about {name}") for name, status in works.items()]
    return {check.name.removeprefix("target "): check for check in targets.check_targets(listed)}


def test_a_gpu_machine_with_everything_runs_every_target(monkeypatch: pytest.MonkeyPatch):
    checks = targets_of(monkeypatch, {"driver": "SM87", "tensorrt": "TensorRT 10.3.0", "missing": {}}, cpu=Status.OK, cuda=Status.OK)
    assert [(check.status, check.fix) for check in checks.values()] == [(Status.OK, "")] * 3
    assert "SM87" in checks["cuda"].detail
    assert "TensorRT 10.3.0" in checks["tensorrt"].detail


def test_a_machine_without_a_gpu_is_told_so_and_not_warned(monkeypatch: pytest.MonkeyPatch):
    answer = {"missing": {"driver": "no NVIDIA driver", "tensorrt": "tensorrt: not installed"}}
    checks = targets_of(monkeypatch, answer, cpu=Status.OK)
    assert {name: check.status for name, check in checks.items()} == {"cpu": Status.OK, "cuda": Status.ABSENT, "tensorrt": Status.ABSENT}
    for name in ("cuda", "tensorrt"):
        assert "no NVIDIA driver; " in checks[name].detail
        assert "onnxruntime has no CUDAExecutionProvider" in checks[name].detail
        assert "redvillm[gpu]" in checks[name].fix
    assert "not installed" in checks["tensorrt"].detail
    assert "not installed" not in checks["cuda"].detail


@pytest.mark.parametrize("answer", [{"driver": "SM89", "missing": {"tensorrt": "none"}}, {"error": "its process ended with status -6: abort"}])
def test_what_lacks_on_a_gpu_machine_is_told_per_target(monkeypatch: pytest.MonkeyPatch, answer: dict[str, object]):
    checks = targets_of(monkeypatch, answer, cpu=Status.WARNING, cuda=Status.OK)
    assert checks["cpu"].status is Status.WARNING
    assert "words about cpu" in checks["cpu"].detail
    if "driver" in answer:
        assert (checks["cuda"].status, checks["tensorrt"].status) == (Status.OK, Status.WARNING)
    else:
        assert "status -6" in checks["cuda"].detail


def test_the_probe_asks_this_machine():
    (_, cuda, tensorrt) = targets.check_targets([])
    assert cuda.status in (Status.ABSENT, Status.WARNING)
    assert tensorrt.detail.startswith("cannot run here")  # no provider was listed


def test_no_openvino_is_fine(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(openvino, "installed", lambda names: {})
    (check,) = openvino.check_openvino()
    assert check.status is Status.ABSENT
    assert "optional" in check.detail


def test_an_openvino_that_does_not_compute_is_told(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(openvino, "installed", lambda names: {"openvino": "2026.4.1"})
    monkeypatch.setattr(openvino, "run_subprobe", lambda module, argument, timeout_s: {"works": False, "reason": "OpenVINO chose GPU"})
    (check,) = openvino.check_openvino()
    assert check.status is Status.WARNING
    assert "OpenVINO chose GPU" in check.detail


def test_openvino_really_computes():
    pytest.importorskip("openvino", reason="openvino is not installed (extra openvino)")
    (check,) = openvino.check_openvino()
    assert (check.status, check.fix) == (Status.OK, "")


def test_no_onnxruntime(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    (check,) = providers.check_providers()
    assert check.status is Status.FAILURE
    assert "redvillm[cpu]" in check.fix


def test_an_onnxruntime_emptied_by_an_uninstall(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", types.ModuleType("onnxruntime"))
    (check,) = providers.check_providers()
    assert check.status is Status.FAILURE


def pretend_installed(monkeypatch: pytest.MonkeyPatch, versions: dict[str, str]) -> None:
    def version(name: str) -> str:
        if name not in versions:
            raise importlib.metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(distributions.importlib.metadata, "version", version)


def test_two_builds_of_onnxruntime(monkeypatch: pytest.MonkeyPatch):
    pretend_installed(monkeypatch, {"onnxruntime": "1.2", "onnxruntime-gpu": "1.3"})
    check = providers._check_build("1.3")
    assert check.status is Status.WARNING
    assert check.fix == "python -m pip uninstall -y onnxruntime onnxruntime-gpu && python -m pip install 'onnxruntime-gpu'"


def test_one_build_and_a_foreign_build_are_fine(monkeypatch: pytest.MonkeyPatch):
    pretend_installed(monkeypatch, {"onnxruntime-gpu": "1.3"})
    assert providers._check_build("1.3").status is Status.OK
    pretend_installed(monkeypatch, {})
    assert "not installed by pip" in providers._check_build("1.3").detail
    assert "system build" in video._check_build("4.8").detail


def test_two_builds_of_cv2(monkeypatch: pytest.MonkeyPatch):
    pretend_installed(monkeypatch, {"opencv-python": "4", "opencv-python-headless": "5"})
    check = video._check_build("5")
    assert check.status is Status.WARNING
    assert "uninstall -y opencv-python opencv-python-headless" in check.fix


@pytest.mark.parametrize(
    ("text", "status", "words"),
    [
        (
            "  Video I/O:\n    FFMPEG:                      YES\n      avcodec: YES\n    GStreamer:   NO\n    v4l/v4l2:   YES (linux/videodev2.h)",
            "ok",
            "FFMPEG",
        ),
        ("    FFMPEG:  NO\n    GStreamer:                   YES (1.20.3)\n", "ok", "Jetson"),
        ("    FFMPEG:  NO\n    GStreamer:   NO\n    v4l/v4l2:  YES", "failure", "v4l"),
        ("", "failure", "none of"),
    ],
)
def test_what_cv2_can_open(text: str, status: str, words: str):
    check = video.check_backends(text)
    assert check.status == status
    assert words in check.detail


def test_no_cv2(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    (check,) = video.check_video()
    assert check.status is Status.FAILURE


def test_cameras(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    assert [check.status for check in video.check_cameras(tmp_path)] == [Status.OK]
    for name in ("video10", "video2", "video-codec", "vide"):
        (tmp_path / name).touch()
    answers = {"2": {"works": True, "detail": "640x480"}, "10": {"error": "gave no answer within 15 s"}}
    monkeypatch.setattr(video, "run_subprobe", lambda module, argument, timeout_s: answers[argument])
    checks = video.check_cameras(tmp_path)
    assert [(Path(check.name).name, check.status) for check in checks] == [("video2", "ok"), ("video10", "warning")]


def test_a_camera_that_is_absent():
    pytest.importorskip("cv2")
    answer = subprobe.run_subprobe("redvillm.doctor.camera_subprobe", "99", timeout_s=60)
    assert answer["works"] is False


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("import os; os.abort()", "ended with status -6"),
        ("import time; time.sleep(60)", "gave no answer"),
        ("print('no json')", "ended with status 0"),
        ("print('[1]')", "ended with status 0"),
        ("raise ImportError('libcuda.so is missing')", "libcuda.so is missing"),
    ],
)
def test_a_crash_or_a_hang_costs_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, source: str, words: str):
    (tmp_path / "bad_driver.py").write_text(source)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert words in subprobe.run_subprobe("bad_driver", "x", timeout_s=5)["error"]


def test_a_working_subprobe(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    (tmp_path / "driver.py").write_text("import json, sys; print('noise'); print(json.dumps({'got': sys.argv[1]}))")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert subprobe.run_subprobe("driver", "x", timeout_s=60) == {"got": "x", "log": ""}


def test_the_pooling_op_that_was_built_is_taken():
    if ort_library.ort_library_path() is None:
        pytest.skip("this redvillm was built without the op for ONNX Runtime")
    check = pooling_op.check_pooling_op()
    assert (check.status, check.fix) == (Status.OK, "")
    assert f"API {ort_library.ort_library_api_version()}" in check.detail


def test_a_pooling_op_that_is_absent_or_broken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(ort_library, "ort_library_path", lambda: None)
    check = pooling_op.check_pooling_op()
    assert check.status is Status.ABSENT
    assert "was not built" in check.detail
    broken = tmp_path / ort_library.ORT_LIBRARY_NAME
    broken.write_bytes(b"no library")
    monkeypatch.setattr(ort_library, "ort_library_path", lambda: broken)
    check = pooling_op.check_pooling_op()
    assert check.status is Status.WARNING
    assert "cannot be loaded" in check.detail


def test_missing_kernels(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "redvillm.kernels", None)
    assert installation.check_kernels().status is Status.FAILURE


def test_storage_of_an_empty_cache():
    checks = {check.name: check for check in storage.check_storage()}
    assert "empty" in checks["cache"].detail
    assert checks["bundle"].status is Status.WARNING
    assert "redvillm export" in checks["bundle"].fix
    assert "redvillm fetch" in checks["weights"].fix


def test_storage_of_a_cache_that_does_not_exist_yet(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("REDVILLM_CACHE", str(tmp_path / "a" / "b"))
    assert {check.status for check in storage.check_storage()} <= {Status.OK, Status.WARNING}
    assert not (tmp_path / "a").exists()


def fake_report(monkeypatch: pytest.MonkeyPatch, status: Status) -> None:
    check = Check(group="g", name="n", status=status, detail="[bold]not markup[/bold]", fix="do this")
    monkeypatch.setattr(report, "examine", lambda: [check])


@pytest.mark.parametrize(("status", "code"), [(Status.OK, 0), (Status.ABSENT, 0), (Status.WARNING, 0), (Status.FAILURE, 1)])
def test_the_exit_status(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], status: Status, code: int):
    fake_report(monkeypatch, status)
    assert report.run_doctor(as_json=True) == code
    printed = json.loads(capsys.readouterr().out)
    assert printed["can_run"] is (code == 0)
    assert printed["checks"][0]["status"] == status.value
    assert report.run_doctor(as_json=False) == code
    table = capsys.readouterr().out
    assert "[bold]not markup[/bold]" in table
    assert "do this" in table


def test_this_machine():
    checks = doctor.examine()
    assert {check.group for check in checks} == {"installation", "onnxruntime", "openvino", "targets", "video", "storage"}
    assert [check for check in checks if check.status is Status.FAILURE] == []
