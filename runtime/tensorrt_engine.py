"""The TensorRT engine of one graph of a bundle: which of those that were built for it runs here, and loading it.

An engine runs where its key says so: the library, its version, this GPU's architecture, and the graph's fingerprint. Knows keys, files and TensorRT's
runtime; does not run engines. *Not yet run on a device.*
"""

from collections import deque
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from redvillm.engine_key import EngineKey, key_differences, read_key
from redvillm.errors import BackendError, BundleError, BundleFileError, BundleTargetError
from redvillm.kernels.tensorrt_module import TensorRT
from redvillm.kernels.tensorrt_plugin import register_plugin
from redvillm.manifest import ENGINES

_MAX_ERRORS = 3


@dataclass(frozen=True, kw_only=True)
class WantedEngine:
    """What an engine must have been built from, with and for.

    bundle: the folder.
    stem: the graph's name without its ending, "vision" or "align".
    onnx_sha256: of the graph, from the manifest.
    num_frames: it must take from 1 to so many frames, or any number where `in_parts`.
    in_parts: whether its frames are independent, so that many can be run in parts.
    """

    bundle: Path
    stem: str
    onnx_sha256: str
    num_frames: int
    in_parts: bool


@dataclass(frozen=True)
class LoadedEngine:
    """An engine that was loaded. `engine` is TensorRT's ICudaEngine; `runtime` and `logger` must live as long."""

    path: Path
    key: EngineKey
    tensorrt: TensorRT
    engine: Any
    runtime: Any
    logger: Any


def find_engine(wanted: WantedEngine, tensorrt: TensorRT, architecture: str) -> tuple[Path, EngineKey]:
    """Return the engine that runs here, and its key; of several, the one for the fewest frames that suffice, or else for the most.

    Raises:
        BundleFileError: there is none, or those that would do are altered or have no key.
        BundleTargetError: there are some, and none fits; the message says for each what differs.
    """
    command = f"build it on this machine with: redvillm engine {wanted.bundle}"
    kind: type[BundleError] = BundleTargetError
    fitting, reasons = [], []
    for path in _candidates(wanted, tensorrt):
        try:
            key = read_key(path)
        except BundleFileError as error:
            kind = BundleFileError
            reasons.append(str(error))
            continue
        if unfit := _unfitness(key, wanted, tensorrt, architecture):
            reasons.append(f"{path.name}: {'; '.join(unfit)}")
        else:
            fitting.append((key.frames.largest < wanted.num_frames, abs(key.frames.largest - wanted.num_frames), path.name, path, key))
    if fitting:
        return min(fitting)[3:]
    if not reasons:
        raise BundleFileError(f"{wanted.bundle / ENGINES} holds no engine of {wanted.stem}.onnx; {command}")
    raise kind(f"no engine of {wanted.stem}.onnx runs here, with {tensorrt} on {architecture}: {' | '.join(reasons)}; {command}")


def load_engine(path: Path, key: EngineKey, tensorrt: TensorRT) -> LoadedEngine:
    """Load an engine whose key fits; the plugin is registered first where the key says that it needs it.

    Raises:
        BackendError: TensorRT does not take it, or the plugin or its kernels are missing.
    """
    if key.pooling == "plugin":
        register_plugin(tensorrt)
    logger = _make_logger(tensorrt.module)
    runtime = tensorrt.module.Runtime(logger)
    engine = runtime.deserialize_cuda_engine(path.read_bytes())
    if engine is None:
        raise BackendError(f"{tensorrt} cannot load {path.name} ({logger.words()}); build it again with: redvillm engine {path.parent.parent}")
    return LoadedEngine(path, key, tensorrt, engine, runtime, logger)


def _candidates(wanted: WantedEngine, tensorrt: TensorRT) -> list[Path]:
    """Return the engines whose names promise to fit; all of the graph's where none does, so that each can be told why. Reading one takes a while."""
    paths = sorted((wanted.bundle / ENGINES).glob(f"{wanted.stem}-*.engine"))
    start, end = f"{wanted.stem}-{tensorrt.flavour}{tensorrt.version}-", f"-{wanted.onnx_sha256[:8]}.engine"
    return [path for path in paths if path.name.startswith(start) and path.name.endswith(end)] or paths


def _unfitness(key: EngineKey, wanted: WantedEngine, tensorrt: TensorRT, architecture: str) -> list[str]:
    here = replace(key, flavour=tensorrt.flavour, version=tensorrt.version, architectures=(architecture,), onnx_sha256=wanted.onnx_sha256)
    reasons = key_differences(key, here)
    if key.frames.smallest > 1:
        reasons.append(f"it takes {key.frames.smallest} frames and more, and a live stream begins with one")
    if key.frames.largest < wanted.num_frames and not wanted.in_parts:
        reasons.append(f"it takes at most {key.frames.largest} frames, and the window holds {wanted.num_frames}")
    return reasons


def _make_logger(trt: Any) -> Any:
    """Return a logger that keeps TensorRT's last errors, for our own; its class is made here because its base belongs to the library chosen."""

    class Logger(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self._errors: deque[str] = deque(maxlen=_MAX_ERRORS)

        def log(self, severity: Any, msg: str) -> None:
            if severity in (trt.ILogger.Severity.INTERNAL_ERROR, trt.ILogger.Severity.ERROR):
                self._errors.append(" ".join(msg.split()))

        def words(self) -> str:
            """Return what was said since the last time."""
            words = "; ".join(self._errors) or "it does not say why"
            self._errors.clear()
            return words

    return Logger()
