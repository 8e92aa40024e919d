"""What the TensorRT tests need: the library, on the platforms that have its wheel; in CI its absence is an error."""

import ctypes
import importlib.util
import os
import platform
import sys

import pytest

HAS_TENSORRT = any(importlib.util.find_spec(name) for name in ("tensorrt", "tensorrt_rtx"))
IS_RTX = importlib.util.find_spec("tensorrt") is None
# CI installs the wheel where there is one, but not into the environment without torch
_CI_PROVIDES = bool(os.environ.get("CI")) and "REDVILLM_TEST_WITHOUT_TORCH" not in os.environ
_CI_PROVIDES = _CI_PROVIDES and sys.platform == "linux" and platform.machine() == "x86_64"

needs_tensorrt = pytest.mark.skipif(not HAS_TENSORRT and not _CI_PROVIDES, reason="no TensorRT: pip install 'redvillm[tensorrt]'")
needs_rtx = pytest.mark.skipif(not IS_RTX or (not HAS_TENSORRT and not _CI_PROVIDES), reason="the ahead-of-time builder is that of tensorrt_rtx")


def has_driver() -> bool:
    try:
        return ctypes.CDLL("libcuda.so.1").cuInit(0) == 0
    except OSError:
        return False
