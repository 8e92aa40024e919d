"""The runtime of the vision encoder: ONNX Runtime, or OpenVINO where that was asked for.

One visible choice; a backend that cannot run is an error, never the other one. Knows names of backends; does not know graphs.
"""

from pathlib import Path
from typing import Literal, get_args

from redvillm.errors import OptionsError
from redvillm.runtime.openvino_session import OpenVinoSession, open_openvino_session
from redvillm.runtime.session import Session, open_session

VisionBackend = Literal["onnxruntime", "openvino"]


def open_vision_session(path: Path, *, backend: str = "onnxruntime", threads: int | None = None) -> Session | OpenVinoSession:
    """Open vision.onnx; the result's `provider` says what runs it.

    Raises:
        BackendError: the backend is missing or cannot run the graph.
        BundleFileError: the graph cannot be read.
        OptionsError: an unknown backend, or `threads` is not positive.
    """
    if backend not in get_args(VisionBackend):
        raise OptionsError(f"{backend!r:.40} is not a backend of the vision encoder; legal are {', '.join(get_args(VisionBackend))}")
    if backend == "openvino":
        return open_openvino_session(path, threads=threads)
    return open_session(path, threads=threads, spinning=True)
