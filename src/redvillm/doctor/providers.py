"""ONNX Runtime: which build is installed and which of its providers really work."""

import re
from typing import Any

from redvillm.doctor.check import Check, Status
from redvillm.doctor.distributions import installed, repair_command
from redvillm.doctor.subprobe import run_subprobe

_GROUP = "onnxruntime"
_BUILDS = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-directml", "onnxruntime-openvino", "onnxruntime-qnn")
_CPU = "CPUExecutionProvider"
_REMOTE = {"AzureExecutionProvider"}  # sends tensors to a web service: never used
_PROBE_TIMEOUT_S = 60.0


def check_providers() -> list[Check]:
    """Return the build of onnxruntime, a mixture of builds if there is one, and a line per provider."""
    try:
        import onnxruntime

        providers = [name for name in onnxruntime.get_available_providers() if name not in _REMOTE]
    except (ImportError, AttributeError) as error:
        fix = "python -m pip install 'redvillm[cpu]' (or 'redvillm[gpu]' for an NVIDIA GPU)"
        return [Check(group=_GROUP, name="build", status=Status.FAILURE, detail=f"cannot be imported: {error}", fix=fix)]
    return [_check_build(str(onnxruntime.__version__)), *(check_provider(name) for name in providers)]


def check_provider(name: str) -> Check:
    """Run the probe model on one provider, in a process of its own."""
    answer = run_subprobe("redvillm.doctor.provider_subprobe", name, timeout_s=_PROBE_TIMEOUT_S)
    if answer.get("works") is True:
        return Check(group=_GROUP, name=name, status=Status.OK, detail="computes the probe model rightly")
    reason = _reason(answer)
    if name == _CPU:
        fix = "python -m pip install --force-reinstall 'redvillm[cpu]'"
        return Check(group=_GROUP, name=name, status=Status.FAILURE, detail=reason, fix=fix)
    fix = "not needed on the target cpu; for an NVIDIA GPU: its driver, and python -m pip install 'redvillm[gpu]'"
    return Check(group=_GROUP, name=name, status=Status.WARNING, detail=f"listed, but does not work: {reason}", fix=fix)


def _reason(answer: dict[str, Any]) -> str:
    # the exception only tells that nobody computes the node; which library is missing stands in the log
    if missing := re.search(r"Failed to load library .* with error: (.+)", str(answer.get("log"))):
        return missing[1].strip()
    return str(answer.get("error") or answer.get("reason"))


def _check_build(version: str) -> Check:
    found = installed(_BUILDS)
    detail = ", ".join(f"{name} {number}" for name, number in found.items()) or f"{version}, not installed by pip"
    if len(found) > 1:
        keep = next((name for name in found if name != "onnxruntime"), "onnxruntime")
        detail = f"{detail}: several builds in one folder, the last one installed hides the providers of the others"
        return Check(group=_GROUP, name="build", status=Status.WARNING, detail=detail, fix=repair_command(found, keep))
    return Check(group=_GROUP, name="build", status=Status.OK, detail=detail)
