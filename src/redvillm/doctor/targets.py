"""The targets of bundles: which of them can run here, and what the others lack, in a line each."""

from typing import Any

from redvillm.doctor.check import Check, Status
from redvillm.doctor.subprobe import run_subprobe

_GROUP = "targets"
_PROBE_TIMEOUT_S = 60.0
_FIXES = {
    "driver": "the NVIDIA driver",
    "onnxruntime": "python -m pip uninstall -y onnxruntime && python -m pip install 'redvillm[gpu]'",
    "tensorrt": "JetPack's TensorRT, or: python -m pip install tensorrt (RTX GPUs also: 'redvillm[tensorrt]')",
}


def check_targets(providers: list[Check]) -> list[Check]:
    """Return a line per target; `providers` are the checks of the providers of onnxruntime.

    On a machine without an NVIDIA driver, which has no GPU to use, they are absent; where there is a driver, what lacks is worth a warning.
    """
    answer = run_subprobe("redvillm.doctor.gpu_subprobe", "0", timeout_s=_PROBE_TIMEOUT_S)
    lacks = _lacks(answer, {check.name: check for check in providers})
    has_driver = "driver" not in lacks
    return [
        _check("cpu", {name: words for name, words in lacks.items() if name == "cpu"}, "ONNX Runtime on the CPU", has_driver=has_driver),
        _check(
            "cuda",
            {name: words for name, words in lacks.items() if name in ("driver", "onnxruntime")},
            f"ONNX Runtime on the GPU ({answer.get('driver')})",
            has_driver=has_driver,
        ),
        _check(
            "tensorrt",
            {name: words for name, words in lacks.items() if name != "cpu"},
            f"{answer.get('tensorrt')} and ONNX Runtime on the GPU ({answer.get('driver')}); engines are built with: redvillm engine BUNDLE",
            has_driver=has_driver,
        ),
    ]


def _lacks(answer: dict[str, Any], providers: dict[str, Check]) -> dict[str, str]:
    """Return what is missing, in words, by a short name."""
    lacks: dict[str, str] = {}
    missing = answer.get("missing")
    for name in ("driver", "tensorrt"):
        if name not in answer:
            lacks[name] = str(missing[name] if isinstance(missing, dict) and name in missing else answer.get("error"))
    for name, provider in (("cpu", "CPUExecutionProvider"), ("onnxruntime", "CUDAExecutionProvider")):
        if provider not in providers:
            lacks[name] = f"onnxruntime has no {provider}"
        elif providers[provider].status is not Status.OK:
            lacks[name] = f"{provider}: {providers[provider].detail}"
    return lacks


def _check(target: str, lacks: dict[str, str], works: str, *, has_driver: bool) -> Check:
    name = f"target {target}"
    if not lacks:
        return Check(group=_GROUP, name=name, status=Status.OK, detail=works)
    detail = f"cannot run here: {'; '.join(lacks.values())}"
    fixes = [_FIXES[part] for part in lacks if part in _FIXES]
    if target == "cpu":  # the line of the provider says it already, with its fix
        return Check(group=_GROUP, name=name, status=Status.WARNING, detail=detail)
    return Check(group=_GROUP, name=name, status=Status.WARNING if has_driver else Status.ABSENT, detail=detail, fix=f"it needs {'; '.join(fixes)}")
