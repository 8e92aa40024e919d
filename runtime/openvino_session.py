"""Opening a graph of a bundle in OpenVINO, on the CPU.

An optional second runtime for the vision encoder (extra `openvino`). Knows the package openvino; does not know what a graph computes.
Properties: docs.openvino.ai, "Performance hints and threads scheduling".
"""

import threading
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from redvillm.errors import BackendError, BundleFileError
from redvillm.runtime.session import check_threads

_DEVICE = "CPU"


class OpenVinoSession:
    """An opened graph; `run` may be called from several threads, one at a time computes. Made by `open_openvino_session`."""

    def __init__(self, path: Path, compiled: Any, *, provider: str, threads: int) -> None:
        self._path = path
        self._request = compiled.create_infer_request()
        self._lock = threading.Lock()
        self.provider = provider
        self.threads = threads

    def run(self, output_names: list[str], feeds: dict[str, npt.NDArray[np.generic]]) -> list[npt.NDArray[np.generic]]:
        """Run the graph.

        Raises:
            BackendError: the graph does not take these inputs, or failed.
        """
        try:
            with self._lock:
                self._request.infer(feeds, share_inputs=True)
                return [np.array(self._request.get_tensor(name).data) for name in output_names]  # the request's own memory is used again
        except Exception as error:  # the library's errors have no common base
            raise BackendError(
                f"running {self._path.name} in OpenVINO failed ({_first_line(error)}); if the inputs are right, export the bundle again"
            ) from error


def open_openvino_session(path: Path, *, threads: int | None = None) -> OpenVinoSession:
    """Open a graph; `threads` None uses every core that this process may run on.

    Raises:
        BackendError: openvino is missing, or does not run the graph on the CPU in float32.
        BundleFileError: the graph cannot be read.
        OptionsError: `threads` is not positive.
    """
    openvino = _import_openvino()
    count = check_threads(threads)
    properties = {
        "INFERENCE_NUM_THREADS": count,
        "NUM_STREAMS": 1,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",  # without it OpenVINO turns to bfloat16 where the processor has it
        "ENABLE_CPU_PINNING": False,  # perception and language share the cores
    }
    try:
        core = openvino.Core()
        graph = core.read_model(path)
    except Exception as error:  # as above
        raise BundleFileError(f"{path} cannot be opened by OpenVINO ({_first_line(error)}); export the bundle again") from error
    try:
        compiled = core.compile_model(graph, _DEVICE, properties)
        devices = list(compiled.get_property("EXECUTION_DEVICES"))
    except Exception as error:  # as above
        raise BackendError(f"OpenVINO cannot run {path.name} on the {_DEVICE} ({_first_line(error)}); use the backend onnxruntime") from error
    if devices != [_DEVICE]:
        raise BackendError(f"{path.name} was to run on the {_DEVICE}, but OpenVINO chose {', '.join(devices)}; use the backend onnxruntime")
    return OpenVinoSession(path, compiled, provider=f"OpenVINO {_DEVICE}", threads=count)


def _import_openvino() -> Any:
    try:
        import openvino
    except ImportError as error:
        raise BackendError(f"openvino cannot be imported ({error}); install redvillm[openvino], or use the backend onnxruntime") from error
    return openvino


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
