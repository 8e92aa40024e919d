"""Every `redvillm` command that the README and the pages show is run as it stands; shown `make` targets, modules and links must exist."""

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# what stands for the reader's own file or place
PLACEHOLDERS = {"clip.mp4": "{clip}", "FILE": "{clip}", "BUNDLE": "{bundle}"}
# shown, but not for every machine: a camera, a download of another's choosing, minutes of training, a bundle that is there already, a GPU
NOT_RUN = (
    r"--source (0|rtsp:|/dev)",
    r"^redvillm fetch (hf:|path/|redvillm-nano --from)",
    r"^redvillm export redvillm-nano",
    r"^redvillm fetch",
    r"^redvillm bench",
    r"^redvillm eval (QUESTIONS|test.jsonl)",
    r"^redvillm train",
    r"^redvillm engine (redvillm-nano|(?!.*--architectures))",
)
ENDLESS = re.compile(r"^redvillm live(?!.*--duration)")


def code_lines(page: Path) -> list[str]:
    """Lines of indented or fenced blocks, without prompts and trailing comments."""
    lines, fenced = [], False
    for line in page.read_text(encoding="utf-8").splitlines():
        if line.startswith("```"):
            fenced = not fenced
        elif fenced or line.startswith("    "):
            lines.append(re.sub(r"\s+#\s.*$", "", line.strip()).removeprefix("$ "))
    return lines


COMMANDS = sorted({line for page in PAGES for line in code_lines(page) if re.match(r"redvillm [a-z]", line)})
TARGETS = sorted({line.split()[-1] for page in PAGES for line in code_lines(page) if re.match(r"(PYTHON=\S+ )?make ", line)})
MODULES = sorted({match for page in PAGES for match in re.findall(r"python -m (redvillm[.\w]*)", page.read_text(encoding="utf-8"))})


def test_the_pages_show_commands():
    assert any(command.startswith("redvillm ask") for command in COMMANDS)
    assert any(command.startswith("redvillm live") for command in COMMANDS)
    assert {"demo", "test"} <= set(TARGETS)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_shown_command_is_understood(command):
    from redvillm.cli.command_line import build_parser

    build_parser().parse_args(shlex.split(command)[1:])


def write_trace(path: Path) -> None:
    """Write what the page records in the line before: ten frames, half a second apart."""
    from redvillm.runtime.frame import Frame
    from redvillm.runtime.trace_writer import TraceWriter

    writer = TraceWriter(path, {}, max_bytes=1 << 24)
    for index in range(10):
        writer.add_frame(Frame(np.full((48, 64, 3), 20 * index, np.uint8), index / 2), index / 2)
    writer.close()


def write_checkpoint(folder: Path) -> Path:
    """Write an Image LLM with random weights."""
    pytest.importorskip("torch", reason="exporting a checkpoint needs redvillm[export]")
    import tiny_checkpoints

    return tiny_checkpoints.write(folder, "idefics3")


def write_tensorrt_bundle(folder: Path) -> Path:
    """Write a bundle for target tensorrt, with random weights."""
    from tensorrt_needs import HAS_TENSORRT

    if not HAS_TENSORRT:
        pytest.skip("no TensorRT: pip install 'redvillm[tensorrt]'")
    checkpoint = write_checkpoint(folder / "checkpoint")
    from redvillm.export.bundle import export_checkpoint
    from redvillm.export.checkpoint_plan import CheckpointOptions

    export_checkpoint(str(checkpoint), folder / "bundle", CheckpointOptions(max_frames=6, max_context_tokens=256), target="tensorrt", check=False)
    return folder / "bundle"


def write_trained(folder: Path) -> None:
    """Write what 'redvillm train' leaves in its folder, with random weights."""
    pytest.importorskip("torch", reason="exporting a checkpoint needs redvillm[export]")
    import composed_models

    composed_models.compose(folder)


@pytest.mark.bundle
@pytest.mark.network
@pytest.mark.parametrize("command", [command for command in COMMANDS if not any(re.search(pattern, command) for pattern in NOT_RUN)])
def test_a_shown_command_runs(command, real_bundle, fetch_real, tmp_path):
    clip = fetch_real("sample:bikes")
    cache = tmp_path / "cache"
    (cache / "bundles").mkdir(parents=True)
    (cache / "bundles" / "redvillm-nano-cpu").symlink_to(real_bundle)
    (cache / "clips").symlink_to(clip.parent)
    bundle = write_tensorrt_bundle(tmp_path / "engines") if command.startswith("redvillm engine ") else real_bundle
    words = [PLACEHOLDERS.get(word, word).format(clip=clip, bundle=bundle) for word in shlex.split(command)[1:]]
    if "CHECKPOINT" in words:
        words[words.index("CHECKPOINT")] = str(write_checkpoint(tmp_path / "checkpoint"))
    if command.startswith("redvillm export run "):
        write_trained(tmp_path / "run")
    if ENDLESS.match(command):
        words += ["--duration", "3s"]
    if "walk.rvtrace" in command and "--record" not in command:
        write_trace(tmp_path / "walk.rvtrace")
    environment = {**os.environ, "REDVILLM_CACHE": str(cache)}
    run = [sys.executable, "-m", "redvillm.cli", *words]
    result = subprocess.run(run, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=120, cwd=tmp_path, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip()
    assert "Traceback" not in result.stderr


def test_shown_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert [target for target in TARGETS if not re.search(rf"^{re.escape(target)}:", makefile, re.MULTILINE)] == []


def test_shown_modules_exist():
    assert [module for module in MODULES if importlib.util.find_spec(module) is None] == []


def test_links_lead_to_files():
    for page in PAGES:
        for link in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            if not link.startswith("http"):
                assert (page.parent / link).exists(), f"{page.name} links to {link}"
