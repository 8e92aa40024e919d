"""OpenVINO: whether the optional second runtime of the vision encoder is installed, and computes."""

from redvillm.doctor.check import Check, Status
from redvillm.doctor.distributions import installed
from redvillm.doctor.subprobe import run_subprobe

_GROUP = "openvino"
_PACKAGE = "openvino"
_PROBE_TIMEOUT_S = 60.0


def check_openvino() -> list[Check]:
    """Return one line: not installed, which is fine, or what its probe gave."""
    found = installed((_PACKAGE,))
    if not found:
        detail = "not installed; optional, runs the vision encoder with vision_backend='openvino' (extra 'openvino')"
        return [Check(group=_GROUP, name="vision backend", status=Status.ABSENT, detail=detail)]
    answer = run_subprobe("redvillm.doctor.openvino_subprobe", "CPU", timeout_s=_PROBE_TIMEOUT_S)
    version = found[_PACKAGE]
    if answer.get("works") is True:
        return [Check(group=_GROUP, name="vision backend", status=Status.OK, detail=f"{version}, computes the probe model rightly on the CPU")]
    reason = str(answer.get("error") or answer.get("reason"))
    fix = "not needed unless asked for; python -m pip install --force-reinstall 'redvillm[openvino]'"
    return [Check(group=_GROUP, name="vision backend", status=Status.WARNING, detail=f"{version}, does not work: {reason}", fix=fix)]
