"""redvillm's vision.onnx, through the runtime's public classes."""

from importlib import metadata
from typing import Any

from redvillm.manifest import Graphs
from redvillm.runtime.bundle import open_bundle
from redvillm.runtime.encoder import VisionEncoder
from redvillm.runtime.vision_session import open_vision_session


class Engine:
    def __init__(self, config: dict[str, Any]) -> None:
        bundle = open_bundle(config["model"], target="cpu", verify="sizes")
        self._precision = bundle.manifest.precision[Graphs.VISION]
        path = bundle.folder / Graphs.VISION
        self._session = open_vision_session(path, threads=config["threads"])
        self._encoder = VisionEncoder(self._session, bundle.manifest.dimensions)
        self._weight_bytes = path.stat().st_size

    def describe(self) -> dict[str, Any]:
        return {
            "precision": self._precision,
            "provider": self._session.provider,
            "weight_bytes": self._weight_bytes,
            "versions": {name: metadata.version(name) for name in ("redvillm", "onnxruntime")},
        }

    def encode(self, pixels: Any) -> Any:
        return self._encoder.encode(pixels)


def open_engine(config: dict[str, Any]) -> Engine:
    return Engine(config)
