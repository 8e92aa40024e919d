"""Environments of peers: each peer runs in a virtual environment of its own, so that no pin of one disturbs another, and none has redvillm.

Knows venv and pip; does not know engines.
"""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from redvillm.errors import BackendError
from redvillm.files import storage_errors

_MARKER = "requirements.txt"
_INSTALL_S = 7200


@dataclass(frozen=True)
class EnvironmentPlan:
    """What to install: exact versions, and variables for building what comes without a wheel."""

    name: str
    requirements: tuple[str, ...]
    build_variables: MappingProxyType[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def marker(self) -> str:
        """The text that an installed environment carries."""
        return "\n".join((*self.requirements, *(f"# {name}={value}" for name, value in self.build_variables.items()))) + "\n"


ENVIRONMENTS = MappingProxyType(
    {
        plan.name: plan
        for plan in (
            EnvironmentPlan(
                "llama",
                ("llama-cpp-python==0.3.36", "numpy==2.4.6"),
                MappingProxyType({"CMAKE_ARGS": "-DGGML_NATIVE=ON -DLLAVA_BUILD=OFF"}),
            ),
            EnvironmentPlan("genai", ("onnxruntime-genai==0.18.0", "onnxruntime==1.32.0", "numpy==2.4.6")),
            EnvironmentPlan("openvino", ("openvino-genai==2026.4.1.0", "openvino==2026.4.1", "nncf==3.4.0", "numpy==2.4.6")),
        )
    }
)


class Environments:
    """The environments below one folder; each is made when it is first asked for, and made again when its plan has changed."""

    def __init__(self, folder: Path, *, may_install: bool) -> None:
        """Without `may_install` only what is there is used, as it is."""
        self._folder = folder.absolute()
        self._may_install = may_install

    def python(self, plan: EnvironmentPlan) -> Path:
        """Return the interpreter of an environment.

        Raises:
            BackendError: it is not there and must not be, or cannot be, installed; the message says why.
        """
        home = self._folder / plan.name
        python, marker = home / "bin" / "python", home / _MARKER
        if not self._may_install:
            if not python.is_file():
                raise BackendError(f"there is no environment {home}; leave --environments away to have it installed")
            return python
        if not python.is_file() or not marker.is_file() or marker.read_text(encoding="utf-8") != plan.marker:
            self._install(plan, home, python)
        return python

    def _install(self, plan: EnvironmentPlan, home: Path, python: Path) -> None:
        with storage_errors(home):
            shutil.rmtree(home, ignore_errors=True)
            home.parent.mkdir(parents=True, exist_ok=True)
        run_tool([sys.executable, "-m", "venv", str(home)], f"making the environment {plan.name}")
        install = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet", *plan.requirements]
        run_tool(install, f"installing {', '.join(plan.requirements)}", variables=plan.build_variables)
        (home / _MARKER).write_text(plan.marker, encoding="utf-8")  # last: an environment without it is made anew


def site_packages(python: Path) -> Path:
    """Return where the packages of an environment lie.

    Raises:
        BackendError: the interpreter does not run.
    """
    return Path(run_tool([str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], "asking an environment").strip())


def run_tool(command: list[str], doing: str, variables: "MappingProxyType[str, str] | dict[str, str] | None" = None) -> str:
    """Run a program to its end and return its standard output.

    Raises:
        BackendError: it cannot be started, fails or takes hours; the message ends with the last lines it said.
    """
    try:
        result = subprocess.run(
            command, env={**os.environ, **(variables or {})}, capture_output=True, text=True, errors="replace", timeout=_INSTALL_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BackendError(f"{doing} failed: {error}") from error
    if result.returncode != 0:
        said = [line.strip() for line in (result.stderr or result.stdout).splitlines() if line.strip() and "WARNING" not in line]
        telling = [line for line in said if "error" in line.lower()] or said or ["it ended without a word"]
        raise BackendError(f"{doing} failed: {telling[-1][:300]}")
    return result.stdout
