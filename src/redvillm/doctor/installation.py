"""The installation itself: Python, redvillm, its libraries and its native kernels."""

import importlib.metadata
import os
import platform

from redvillm.doctor.check import Check, Status
from redvillm.doctor.distributions import installed
from redvillm.errors import RedvillmError

_GROUP = "installation"
_RUNTIME = ("numpy", "tokenizers", "platformdirs", "rich", "psutil")
_EXPORT = ("torch", "transformers", "onnx", "gguf", "safetensors", "huggingface_hub")


def check_installation() -> list[Check]:
    """Return versions, and whether the native kernels load."""
    return [_check_machine(), _check_runtime(), check_kernels(), _check_export()]


def check_kernels() -> Check:
    """Return which backend the kernels use."""
    try:
        from redvillm.kernels import describe_backend

        return Check(group=_GROUP, name="kernels", status=Status.OK, detail=describe_backend())
    except (ImportError, RedvillmError) as error:
        fix = "install redvillm from its wheel, or again from source with a C++ compiler and CMake"
        return Check(group=_GROUP, name="kernels", status=Status.FAILURE, detail=" ".join(str(error).split()), fix=fix)


def _check_machine() -> Check:
    try:
        version = importlib.metadata.version("redvillm")
    except importlib.metadata.PackageNotFoundError:
        version = "(run from its sources)"
    detail = f"redvillm {version}, Python {platform.python_version()}, {platform.machine()}, {platform.system()}, {os.cpu_count()} CPUs"
    return Check(group=_GROUP, name="versions", status=Status.OK, detail=detail)


def _check_runtime() -> Check:
    found = installed(_RUNTIME)
    detail = ", ".join(f"{name} {version}" for name, version in found.items())
    if missing := [name for name in _RUNTIME if name not in found]:
        fix = f"python -m pip install {' '.join(missing)}"
        return Check(group=_GROUP, name="runtime", status=Status.FAILURE, detail=f"missing: {', '.join(missing)}", fix=fix)
    return Check(group=_GROUP, name="runtime", status=Status.OK, detail=detail)


def _check_export() -> Check:
    found = installed(_EXPORT)
    if missing := [name for name in _EXPORT if name not in found]:
        detail = f"cannot export here (missing: {', '.join(missing)}); a bundle exported elsewhere runs without them"
        return Check(group=_GROUP, name="export", status=Status.ABSENT, detail=detail, fix="to export here: python -m pip install 'redvillm[export]'")
    return Check(group=_GROUP, name="export", status=Status.OK, detail=", ".join(f"{name} {version}" for name, version in found.items()))
