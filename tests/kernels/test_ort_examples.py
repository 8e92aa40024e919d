"""The examples of docs/onnxruntime-op.md, run as they stand there."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ort_op import require_library
from pooling_graph import pooling_graph

ROOT = Path(__file__).parents[2]
HEADER = "onnxruntime_cxx_api.h"


def example(language):
    page = (ROOT / "docs" / "onnxruntime-op.md").read_text(encoding="utf-8")
    (code,) = re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)
    return code


def run(command):
    result = subprocess.run(command, capture_output=True, text=True, timeout=250, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_python():
    pytest.importorskip("onnx")
    require_library()
    assert run([sys.executable, "-c", example("python")]) == "(49, 1280) (16, 1280) 1\n"


def headers():
    named = os.environ.get("ONNXRUNTIME_INCLUDE_DIR")
    places = [Path(named)] if named else [ROOT / "build" / "onnxruntime-headers", Path("/usr/include"), Path("/usr/local/include")]
    return next((path.parent for place in places for path in place.rglob(HEADER)), None)


def test_cpp(tmp_path):
    library, compiler, folder = require_library(), shutil.which("g++"), headers()
    if compiler is None or folder is None:
        pytest.skip("no g++, or no headers of ONNX Runtime in sight of the tests")
    onnxruntime = pytest.importorskip("onnxruntime")
    found = sorted((Path(onnxruntime.__file__).parent / "capi").glob("libonnxruntime.so*"))
    if not found:
        pytest.skip("this onnxruntime wheel holds no libonnxruntime.so")
    (tmp_path / "libonnxruntime.so.1").symlink_to(found[0])
    (tmp_path / "pool.onnx").write_bytes(pooling_graph())
    (tmp_path / "pool.cpp").write_text(example("cpp"))
    program = tmp_path / "pool"
    run([compiler, "-std=c++17", f"-I{folder}", tmp_path / "pool.cpp", tmp_path / "libonnxruntime.so.1", f"-Wl,-rpath,{tmp_path}", "-o", program])
    assert run([program, tmp_path / "pool.onnx", library]) == "[49, 64] 0.5\n[16, 64] 0.5\n"
