"""What runs the graphs of a bundle, by its target.

    target      vision, align                  decoder
    cpu         ONNX Runtime (or OpenVINO)     ONNX Runtime
    cuda        ONNX Runtime, CUDA             ONNX Runtime, CUDA
    tensorrt    TensorRT engines               ONNX Runtime, CUDA

Knows targets and who opens what; does not know what a graph computes.
"""

from pathlib import Path

from redvillm.errors import OptionsError
from redvillm.manifest import Manifest
from redvillm.runtime.cuda_session import CUDA_PROVIDER
from redvillm.runtime.openvino_session import OpenVinoSession
from redvillm.runtime.session import CPU_PROVIDER, Session, open_session
from redvillm.runtime.tensorrt_session import TensorRtSession, open_tensorrt_session
from redvillm.runtime.vision_session import VisionBackend, open_vision_session

DECODER_PROVIDERS = (("cpu", CPU_PROVIDER), ("cuda", CUDA_PROVIDER), ("tensorrt", CUDA_PROVIDER))


def open_vision(path: Path, manifest: Manifest, *, backend: VisionBackend, threads: int | None) -> Session | OpenVinoSession | TensorRtSession:
    """Open vision.onnx for the bundle's target; the result's `provider` says what runs it.

    Raises:
        BackendError: what the target needs is missing here, or does not run the graph.
        BundleError: the graph cannot be read, or no engine of it runs here.
        OptionsError: an unknown backend, or one that does not go with the target; or `threads` is not positive.
    """
    if manifest.target == "cpu":
        return open_vision_session(path, backend=backend, threads=threads)
    if backend != "onnxruntime":
        raise OptionsError(f"vision_backend {backend!r:.40} runs on the CPU, this bundle is for target {manifest.target!r}; leave it out")
    if manifest.target == "tensorrt":
        return open_tensorrt_session(path.parent, manifest, path.name, in_parts=True)
    return open_session(path, provider=CUDA_PROVIDER, threads=threads)


def open_align(path: Path, manifest: Manifest, *, threads: int | None) -> Session | TensorRtSession:
    """Open align.onnx for the bundle's target; the result's `provider` says what runs it.

    Raises:
        BackendError, BundleError, OptionsError: as `open_vision`.
    """
    if manifest.target == "tensorrt":
        return open_tensorrt_session(path.parent, manifest, path.name, in_parts=False)
    return open_session(path, provider=CUDA_PROVIDER if manifest.target == "cuda" else CPU_PROVIDER, threads=threads)


def open_decoder(path: Path, manifest: Manifest, *, threads: int | None) -> Session:
    """Open decoder.onnx for the bundle's target.

    Raises:
        BackendError, BundleFileError, OptionsError: as `open_session`.
    """
    return open_session(path, provider=dict(DECODER_PROVIDERS)[manifest.target], threads=threads, spinning=True)
