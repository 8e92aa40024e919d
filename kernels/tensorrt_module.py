"""Which TensorRT there is: the enterprise library (`import tensorrt`) first, TensorRT for RTX (`import tensorrt_rtx`) second.

Says what it chose. Both have the same Python names for everything used here, from TensorRT 10.3 to 11.4. Knows imports; does not know plugins.
"""

import importlib
import importlib.util
import re
import sys
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from redvillm.errors import BackendError, OptionsError
from redvillm.kernels.tensorrt_rtx_libraries import check_rtx_libraries, load_rtx_libraries

FLAVOURS = ("tensorrt", "tensorrt_rtx")
_OLDEST = (10, 3)  # JetPack 6
_PLUGIN_OVER_FUNCTION = (10, 7)
_RTX = "tensorrt_rtx"


@dataclass(frozen=True)
class TensorRT:
    """One of the libraries, imported. `module` is Any because the two have no common type."""

    flavour: str
    version: str
    module: Any

    @property
    def prefers_plugins(self) -> bool:
        """Whether the ONNX parser takes a registered plugin although the graph holds a function of that name (TensorRT >= 10.7)."""
        return self.flavour == _RTX or version_numbers(self.version) >= _PLUGIN_OVER_FUNCTION

    def __str__(self) -> str:
        return f"{'TensorRT for RTX' if self.flavour == _RTX else 'TensorRT'} {self.version}"


def load_tensorrt(flavour: str | None = None) -> TensorRT:
    """Import TensorRT, the enterprise library if both are installed; `flavour` asks for one of them.

    There is no falling back from a library that is installed but broken to the other.

    Raises:
        OptionsError: an unknown flavour.
        BackendError: none is installed, the import fails, or it is older than 10.3.
    """
    if flavour is not None and flavour not in FLAVOURS:
        raise OptionsError(f"flavour is {flavour!r:.40}; legal values are {', '.join(FLAVOURS)} and None (the first that is installed)")
    wanted = FLAVOURS if flavour is None else (flavour,)
    chosen = next((name for name in wanted if name in sys.modules or _is_installed(name)), None)
    if chosen is None:
        raise BackendError(
            f"{' and '.join(wanted)}: not installed. On a Jetson it comes with JetPack (let the environment see system packages); "
            "elsewhere: pip install tensorrt, or for RTX GPUs and for building engines without a GPU: pip install 'redvillm[tensorrt]'"
        )
    module = _import(chosen)
    version = str(module.__version__)
    if chosen == "tensorrt" and version_numbers(version) < _OLDEST:
        raise BackendError(f"TensorRT {version} is installed, 10.3 or newer is needed; update it (on a Jetson: JetPack 6 or newer)")
    return TensorRT(chosen, version, module)


def version_numbers(version: str) -> tuple[int, ...]:
    """Return the leading numbers of a version: "10.3.0.26" -> (10, 3, 0, 26)."""
    match = re.match(r"\d+(\.\d+)*", version)
    return tuple(map(int, match[0].split("."))) if match else ()


def _is_installed(name: str) -> bool:
    """Whether it is a package with code; a folder of that name where Python is started is none."""
    spec = importlib.util.find_spec(name)
    return spec is not None and spec.origin is not None


def _import(name: str) -> ModuleType:
    already_imported = name in sys.modules
    if name == _RTX and not already_imported:
        load_rtx_libraries()
    try:
        module = importlib.import_module(name)
    except Exception as error:  # a broken installation fails in many ways
        raise BackendError(f"{name} is installed but cannot be imported ({error}); install it again, or ask for the other flavour") from error
    if name == _RTX and already_imported:
        check_rtx_libraries()
    return module
