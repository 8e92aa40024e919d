"""OpenCV: which build is installed, what it can open, and which cameras deliver frames."""

import re
from pathlib import Path

from redvillm.doctor.check import Check, Status
from redvillm.doctor.distributions import installed, repair_command
from redvillm.doctor.subprobe import run_subprobe

_GROUP = "video"
_BUILDS = ("opencv-python-headless", "opencv-python", "opencv-contrib-python-headless", "opencv-contrib-python")
_CAMERA_TIMEOUT_S = 15.0
_BACKENDS = {"FFMPEG": "files and network streams", "GStreamer": "files, network streams and Jetson cameras", "v4l/v4l2": "cameras"}


def check_video() -> list[Check]:
    """Return the build of cv2, its backends, and a line per camera of this machine."""
    try:
        import cv2

        information = str(cv2.getBuildInformation())
    except (ImportError, AttributeError) as error:
        fix = "python -m pip install 'redvillm[cpu]' (opencv-python-headless), or your system's OpenCV for Python"
        return [Check(group=_GROUP, name="cv2", status=Status.FAILURE, detail=f"cannot be imported: {error}", fix=fix)]
    return [_check_build(str(cv2.__version__)), check_backends(information), *check_cameras(Path("/dev"))]


def check_backends(build_information: str) -> Check:
    """Read the backends of cv2 out of the text of cv2.getBuildInformation()."""
    present = [name for name in _BACKENDS if re.search(rf"^\s*{re.escape(name)}:\s*YES", build_information, re.MULTILINE)]
    detail = "; ".join(f"{name}: {_BACKENDS[name]}" for name in present) or "none of " + ", ".join(_BACKENDS)
    if not {"FFMPEG", "GStreamer"} & set(present):
        fix = "python -m pip install --force-reinstall opencv-python-headless (its build has FFMPEG)"
        return Check(group=_GROUP, name="can open", status=Status.FAILURE, detail=detail, fix=fix)
    return Check(group=_GROUP, name="can open", status=Status.OK, detail=detail)


def check_cameras(devices: Path) -> list[Check]:
    """Try every video device below `devices`; a machine without one is fine."""
    nodes = sorted((node for node in devices.glob("video*") if node.name[5:].isdigit()), key=lambda node: int(node.name[5:]))
    if not nodes:
        return [Check(group=_GROUP, name="cameras", status=Status.OK, detail="none connected; files and network streams can be used")]
    return [_check_camera(node) for node in nodes]


def _check_camera(node: Path) -> Check:
    answer = run_subprobe("redvillm.doctor.camera_subprobe", node.name[5:], timeout_s=_CAMERA_TIMEOUT_S)
    if answer.get("works") is True:
        return Check(group=_GROUP, name=str(node), status=Status.OK, detail=f"delivers frames, {answer.get('detail')}")
    detail = str(answer.get("error") or answer.get("detail"))
    fix = "many cameras have a second device for metadata only; otherwise close what uses it, or: sudo usermod -aG video $USER"
    return Check(group=_GROUP, name=str(node), status=Status.WARNING, detail=detail, fix=fix)


def _check_build(version: str) -> Check:
    found = installed(_BUILDS)
    detail = ", ".join(f"{name} {number}" for name, number in found.items()) or f"{version}, not installed by pip (a system build)"
    if len(found) > 1:
        detail = f"{detail}: several builds in one folder overwrite each other"
        return Check(group=_GROUP, name="cv2", status=Status.WARNING, detail=detail, fix=repair_command(found, next(iter(found))))
    return Check(group=_GROUP, name="cv2", status=Status.OK, detail=detail)
