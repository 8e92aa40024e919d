"""The runtime without torch: the runtime half answers about a clip from a bundle alone.

`make wheel-test` runs this from the built wheel in an environment that has no torch at all (REDVILLM_TEST_WITHOUT_TORCH=1).
"""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

EXPORT_LIBRARIES = ("torch", "transformers", "onnx", "onnxscript", "gguf", "safetensors")


@pytest.mark.skipif("REDVILLM_TEST_WITHOUT_TORCH" not in os.environ, reason="for 'make wheel-test', whose environment has no torch")
def test_the_environment_has_no_export_library():
    assert [name for name in EXPORT_LIBRARIES if importlib.util.find_spec(name)] == []


@pytest.fixture
def moving_square(tmp_path: Path) -> Path:
    cv2 = pytest.importorskip("cv2")
    path = tmp_path / "square.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (320, 240))
    for step in range(30):
        frame = np.full((240, 320, 3), 200, np.uint8)
        frame[80:160, 8 * step : 8 * step + 60] = (40, 40, 220)
        writer.write(frame)
    writer.release()
    return path


@pytest.mark.bundle
def test_ask_answers_from_a_bundle_and_imports_no_export_library(real_bundle: Path, moving_square: Path):
    code = (
        "import json, sys\n"
        "from redvillm.cli import main\n"
        "status = main(['ask', sys.argv[2], 'What do you see?', 'What moves?', '--model', sys.argv[1], '--max-new-tokens', '8', '--json'])\n"
        f"met = sorted(set({EXPORT_LIBRARIES!r}) & set(sys.modules))\n"
        "print(f'status {status}, met {met}', file=sys.stderr)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, str(real_bundle), str(moving_square)], capture_output=True, text=True, timeout=280, check=False
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr.splitlines()[-1] == "status 0, met []"
    assert len(json.loads(result.stdout)["answers"]) == 2
