"""The command line: what arguments become, exit statuses, and one line for every error."""

import contextlib
import os
import shlex
import signal
import socket
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from redvillm import export as export_part
from redvillm.cli import fetch as fetch_command
from redvillm.cli import main
from redvillm.cli.command_line import build_parser
from redvillm.cli.values import duration_s, integer, real
from redvillm.errors import FetchError

COMMANDS = ("models", "fetch", "export", "engine", "ask", "live", "bench", "eval", "doctor", "version")
COMMAND_LINE = [sys.executable, "-m", "redvillm.cli"]


def provide(monkeypatch: pytest.MonkeyPatch, name: str, **members: Any) -> None:
    module = types.ModuleType(name)
    for key, value in members.items():
        setattr(module, key, value)
    monkeypatch.setitem(sys.modules, name, module)


def raising(error: BaseException) -> Any:
    def run(arguments: Any) -> int:
        raise error

    return run


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as leaving:
        main([command, "--help"])
    assert leaving.value.code == 0
    assert f"redvillm {command}" in capsys.readouterr().out


def test_help_imports_no_heavy_library():
    code = (
        "import sys\nfrom redvillm.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit: ...\n"
        "heavy = {'numpy', 'onnxruntime', 'cv2', 'torch', 'rich', 'tokenizers', 'jinja2'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nope"],
        ["ask"],
        ["ask", "clip.mp4"],
        ["ask", "clip.mp4", "q", "--frames", "0"],
        ["ask", "clip.mp4", "q", "--frames", "1.5"],
        ["ask", "clip.mp4", "q", "--temperature", "-1"],
        ["ask", "clip.mp4", "q", "--temperature", "nan"],
        ["ask", "clip.mp4", "q", "--top-p", "0"],
        ["ask", "clip.mp4", "q", "--threads", "many"],
        ["live", "--every", "2s"],
        ["live", "--ask", "q", "--every", "soon"],
        ["live", "--rate", "0"],
        ["export", "redvillm-nano", "--target", "toaster"],
        ["export", "redvillm-nano", "--vision", "int4"],
        ["export", "org/model", "--llm", "int3"],
        ["export", "org/model", "--frames", "0"],
        ["export", "org/model", "--frame-size", "448"],
        ["fetch"],
        ["bench", "--runs", "0"],
        ["bench", "--stream", "a.mp4", "--arrivals", "bursts"],
        ["bench", "--stream", "a.mp4", "--compare", "colours"],
    ],
)
def test_wrong_usage_is_status_2(arguments: list[str], capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as leaving:
        main(arguments)
    assert leaving.value.code == 2
    assert "error:" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "wanted"), [("2s", 2), ("500ms", 0.5), ("2", 2), ("1.5m", 90), (".5s", 0.5), ("2min", 120), ("1h", 3600), (" 3s ", 3)]
)
def test_durations(text: str, wanted: float):
    assert duration_s(text) == pytest.approx(wanted)


@pytest.mark.parametrize("text", ["", "0", "0s", "-1s", "2 hours", "s", "1e3", "nan", "inf", "٣s", "9" * 30, "1.2.3s"])
def test_what_is_no_duration(text: str):
    with pytest.raises(Exception, match="2s, 500ms"):
        duration_s(text)


def test_numbers_say_their_bounds():
    assert integer(1, 9)("9") == 9
    assert real(0, 1, above=True)("1") == 1
    for parse, text in ((integer(1, 9), "10"), (integer(1, 9), "x"), (integer(1, 9), "9" * 5000)):
        with pytest.raises(Exception, match="from 1 to 9"):
            parse(text)
    with pytest.raises(Exception, match="above 0 and at most 1"):
        real(0, 1, above=True)("0")


def test_ask_becomes_a_request(monkeypatch: pytest.MonkeyPatch):
    provide(monkeypatch, "redvillm.runtime.requests", AskRequest=dict)
    asked: list[dict[str, Any]] = []
    provide(monkeypatch, "redvillm.runtime.terminal", run_ask=lambda request: asked.append(request) or 7)
    assert (
        main(
            [
                "ask",
                "clip.mp4",
                "What?",
                "Who?",
                "--json",
                "--frames",
                "8",
                "--temperature",
                "0.5",
                "--seed",
                "3",
                "--threads",
                "2",
                "--target",
                "tensorrt",
            ]
        )
        == 7
    )
    assert asked == [
        {
            "bundle": "redvillm-nano",
            "clip": "clip.mp4",
            "questions": ("What?", "Who?"),
            "num_frames": 8,
            "max_new_tokens": 64,
            "temperature": 0.5,
            "top_p": 1.0,
            "seed": 3,
            "threads": 2,
            "target": "tensorrt",
            "as_json": True,
        }
    ]


def test_live_becomes_a_request(monkeypatch: pytest.MonkeyPatch):
    provide(monkeypatch, "redvillm.runtime.requests", LiveRequest=dict)
    asked: list[dict[str, Any]] = []
    provide(monkeypatch, "redvillm.runtime.terminal", run_live=lambda request: asked.append(request) or 0)
    assert main(["live", "--source", "rtsp://cam/1", "--ask", "What?", "--every", "500ms", "--rate", "10", "--duration", "1m", "--loop"]) == 0
    traced = ["--gate", "none", "--window", "memory", "--speed", "max", "--record", "a.rvtrace"]
    assert main(["live", "--source", "a.mp4", *traced]) == 0
    assert asked[:1] == [
        {
            "bundle": "redvillm-nano",
            "source": "rtsp://cam/1",
            "questions": ("What?",),
            "alerts": (),
            "every_s": 0.5,
            "max_evidence_age_s": 1.0,
            "rate_hz": 10.0,
            "max_new_tokens": 48,
            "threads": None,
            "target": "cpu",
            "duration_s": 60.0,
            "loop": True,
            "as_json": False,
            "gate": "duplicates",
            "window": "rolling",
            "speed": "own",
            "record": None,
        }
    ]
    assert (asked[1]["gate"], asked[1]["window"], asked[1]["speed"], asked[1]["record"]) == ("none", "memory", "max", "a.rvtrace")


def test_bench_becomes_a_request(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    provide(monkeypatch, "redvillm.benchmarks.requests", BenchRequest=dict)
    asked: list[dict[str, Any]] = []
    provide(monkeypatch, "redvillm.benchmarks", run_bench=lambda request: asked.append(request) or 0)
    assert main(["bench", "clip.mp4", "--peer", "transformers", "--runs", "3", "--out", str(tmp_path / "a.json"), "--model", "bundles/x"]) == 0
    assert (asked[0]["bundle"], asked[0]["peers"], asked[0]["runs"], asked[0]["out"]) == ("bundles/x", ("transformers",), 3, tmp_path / "a.json")


def test_export_goes_to_the_cache_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch, isolated_cache: Path, capsys: pytest.CaptureFixture[str]):
    exported: list[tuple[Any, ...]] = []

    def export_bundle(name: str, out: Path, *, progress: Any, **choices: Any) -> None:
        progress("a step")
        exported.append((name, out, choices))

    monkeypatch.setitem(vars(export_part), "export_bundle", export_bundle)
    assert main(["export", "redvillm-nano", "--calibration", "a.mp4", "--calibration", "frames"]) == 0
    assert main(["export", "redvillm-nano", "--out", "here", "--target", "cuda", "--vision", "fp32", "--adapter", "a.st", "--force"]) == 0
    assert exported == [
        (
            "redvillm-nano",
            isolated_cache / "bundles" / "redvillm-nano-cpu",
            {"target": "cpu", "vision": "int8", "adapter": None, "force": False, "calibration": (Path("a.mp4"), Path("frames"))},
        ),
        ("redvillm-nano", Path("here"), {"target": "cuda", "vision": "fp32", "adapter": Path("a.st"), "force": True, "calibration": ()}),
    ]
    captured = capsys.readouterr()
    assert "a step" in captured.err
    assert captured.out.splitlines()[-1] == "here"


def test_a_model_of_the_zoo_comes_before_a_folder_of_its_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    (tmp_path / "redvillm-nano").mkdir()
    monkeypatch.chdir(tmp_path)
    exported: list[str] = []
    monkeypatch.setitem(vars(export_part), "export_bundle", lambda name, out, **_: exported.append(name))
    assert main(["export", "redvillm-nano", "--out", "redvillm-nano", "--force"]) == 0
    assert exported == ["redvillm-nano"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["some/folder"], "--out"),
        (["some/folder", "--adapter", "a.st", "--out", "here"], "models of the zoo"),
        (["redvillm-nano", "--llm", "int8"], "--llm belongs to checkpoints"),
        (["redvillm-nano", "--frame-size", "64x64"], "--frame-size belongs to checkpoints"),
        (["redvillm-nano", "--dry-run"], "--dry-run belongs to checkpoints"),
        (["redvillm-nano", "--vision", "fp16"], "target cpu does not take"),
        (["redvillm-nano", "--vision", "fp32", "--calibration", "clip.mp4"], "take --vision int8"),
        (["some/folder", "--out", "here", "--target", "cuda", "--vision", "int8"], "target cuda does not take"),
        (["no-such-model"], "redvillm-nano"),
    ],
)
def test_what_belongs_to_a_checkpoint_and_what_to_a_model(words: list[str], message: str, capsys: pytest.CaptureFixture[str]):
    assert main(["export", *words]) == 1
    assert message in capsys.readouterr().err


def test_a_checkpoint_is_exported_with_its_options(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    exported: list[tuple[Any, ...]] = []
    provide(monkeypatch, "redvillm.export.bundle", export_checkpoint=lambda *given, **choices: exported.append((*given, choices)))
    provide(monkeypatch, "redvillm.export.checkpoint_plan", CheckpointOptions=lambda **chosen: chosen)
    provide(monkeypatch, "redvillm.export.image_llm", TakeOptions=lambda **chosen: chosen)
    words = ["--out", "here", "--llm", "int8", "--frames", "9", "--frame-size", "280x504", "--context", "900", "--licence", "MIT"]
    assert main(["export", "org/model", *words]) == 0
    name, out, options, choices = exported[0]
    assert (name, out, choices["vision"], choices["target"], choices["force"]) == ("org/model", Path("here"), "int8", "cpu", False)
    assert options.pop("take") == {"frame_height": 280, "frame_width": 504}
    assert options == {"decoder": "int8", "max_frames": 9, "max_context_tokens": 900, "licence": "MIT"}
    assert capsys.readouterr().out.splitlines()[-1] == "here"


def test_fetch_prints_paths_and_takes_wheels_by_hand(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["fetch", "redvillm-nano", "--from", str(tmp_path / "nowhere")]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "no such file or folder" in captured.err


def test_models_lists_the_zoo(capsys: pytest.CaptureFixture[str]):
    assert main(["models"]) == 0
    table = capsys.readouterr().out
    assert "redvillm-nano" in table
    assert "not fetched" in table
    assert main(["models", "--json"]) == 0
    assert '"sample:bikes"' in capsys.readouterr().out


@pytest.mark.parametrize("position", [["--debug", "fetch", "x"], ["fetch", "x", "--debug"], ["fetch", "x"]])
def test_an_error_is_one_line_unless_debugged(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], position: list[str]):
    monkeypatch.setattr(fetch_command, "run", raising(FetchError("first\nsecond")))
    assert main(position) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1] == "redvillm: error: first second"
    assert (len(lines) > 1) == ("--debug" in position)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ModuleNotFoundError("No module named 'onnxruntime'", name="onnxruntime"), "'redvillm[cpu]'"),
        (ModuleNotFoundError("No module named 'torch'", name="torch.nn"), "'redvillm[export]'"),
        (ModuleNotFoundError("No module named 'x'", name="x"), "redvillm doctor"),
        (PermissionError(13, "Permission denied", "/clip"), "/clip"),
        (TypeError("boom"), "--debug"),
    ],
)
def test_foreign_errors_are_one_line_too(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception, words: str):
    monkeypatch.setattr(fetch_command, "run", raising(error))
    assert main(["fetch", "x"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line


def test_the_parser_can_be_built_twice():
    assert build_parser().prog == build_parser().prog == "redvillm"


def test_a_reader_that_leaves_is_no_error():
    reading, writing = os.pipe()
    os.close(reading)
    result = subprocess.run([*COMMAND_LINE, "models", "--json"], stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert result.returncode == 128 + signal.SIGPIPE
    assert result.stderr == b""


def test_ctrl_c_during_a_fetch_leaves_nothing(isolated_cache: Path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
        environment |= {"PIP_INDEX_URL": f"http://127.0.0.1:{silent.getsockname()[1]}/simple", "PIP_CONFIG_FILE": os.devnull}
        silent.settimeout(60)
        with subprocess.Popen([*COMMAND_LINE, "fetch", "sample:bikes"], env=environment, stderr=subprocess.PIPE, text=True) as process:
            connection, _ = silent.accept()  # pip asks, and gets no answer
            with contextlib.closing(connection):
                process.send_signal(signal.SIGINT)
                _, printed = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in printed
    assert printed.splitlines()[-1] == "redvillm: interrupted"
    assert [path for path in isolated_cache.rglob("*") if path.is_file()] in ([], [isolated_cache / "fetch.lock"])


def test_ctrl_c_is_not_held_up_by_a_busy_thread():
    code = (
        "import sys, threading, time\n"
        "from redvillm.cli import fetch, main\n"
        "def run(arguments):\n"
        "    threading.Thread(target=time.sleep, args=(600,)).start()\n"
        "    raise KeyboardInterrupt\n"
        "fetch.run = run\n"
        "sys.exit(main(['fetch', 'x']))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 130
    assert "Traceback" not in result.stderr


def test_ctrl_c_that_a_library_swallows_is_still_one():
    code = (
        "import os, signal, sys\n"
        "from redvillm.cli import fetch, main\n"
        "def run(arguments):\n"
        "    try:\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "    except KeyboardInterrupt:\n"
        "        raise ImportError('initialization failed') from None\n"
        "fetch.run = run\n"
        "sys.exit(main(['fetch', 'x']))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (result.returncode, result.stderr) == (130, "redvillm: interrupted\n")


def test_ctrl_c_during_a_long_clean_up_leaves_within_a_second():
    code = (
        "import os, signal, sys, time\n"
        "from redvillm.cli import fetch, main\n"
        "def run(arguments):\n"
        "    try:\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "    finally:\n"
        "        time.sleep(600)\n"
        "fetch.run = run\n"
        "sys.exit(main(['fetch', 'x']))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (result.returncode, result.stderr) == (130, "redvillm: interrupted\n")


def test_ctrl_c_belongs_to_the_caller_again_afterwards():
    assert main(["version"]) == 0
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_stream_is_no_error(closed: str):
    command = shlex.join([*COMMAND_LINE, "models", "--json"])
    result = subprocess.run(["sh", "-c", f"{command} {closed}"], capture_output=True, text=True, timeout=60, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    assert (result.stdout == "") == (closed not in ("<&-", "2>&-"))


def test_an_error_does_not_go_to_standard_output_when_standard_error_is_closed():
    command = shlex.join([*COMMAND_LINE, "fetch", "nothing-of-that-name"])
    result = subprocess.run(["sh", "-c", f"{command} 2>&-"], capture_output=True, text=True, timeout=60, check=False)
    assert (result.returncode, result.stdout) == (1, "")


def test_the_version_is_an_option_too(capsys):
    from redvillm.cli.command_line import build_parser

    with pytest.raises(SystemExit) as end:
        build_parser().parse_args(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out.startswith("redvillm ")
