"""Tests that compile with nvcc skip where there is none; it is no package, so CI does not promise it."""

import shutil

import pytest

needs_nvcc = pytest.mark.skipif(shutil.which("nvcc") is None, reason="no nvcc on the path")
