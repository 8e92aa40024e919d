"""OpenVINO on torch's default export of the encoder, or on what nncf made of it."""

from importlib import metadata
from pathlib import Path
from typing import Any

import openvino


class Engine:
    def __init__(self, config: dict[str, Any]) -> None:
        core = openvino.Core()
        settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": config["threads"], "INFERENCE_PRECISION_HINT": "f32"}
        compiled = core.compile_model(config["model"], "CPU", settings)
        self._request = compiled.create_infer_request()
        self._precision = config["precision"]
        weights = Path(config["model"]).with_suffix(".bin")
        self._weight_bytes = (weights if weights.exists() else Path(config["model"])).stat().st_size

    def describe(self) -> dict[str, Any]:
        return {
            "precision": self._precision,
            "provider": "OpenVINO CPU",
            "weight_bytes": self._weight_bytes,
            "versions": {"openvino": metadata.version("openvino")},
        }

    def encode(self, pixels: Any) -> Any:
        return self._request.infer([pixels])[0]


def open_engine(config: dict[str, Any]) -> Engine:
    return Engine(config)
