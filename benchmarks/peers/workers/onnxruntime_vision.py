"""ONNX Runtime as it comes, on torch's default export of the encoder."""

from importlib import metadata
from pathlib import Path
from typing import Any

import onnxruntime


class Engine:
    def __init__(self, config: dict[str, Any]) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = config["threads"]
        self._session = onnxruntime.InferenceSession(config["model"], options, providers=["CPUExecutionProvider"])
        self._name = self._session.get_inputs()[0].name
        self._weight_bytes = Path(config["model"]).stat().st_size

    def describe(self) -> dict[str, Any]:
        return {
            "precision": "float32",
            "provider": self._session.get_providers()[0],
            "weight_bytes": self._weight_bytes,
            "versions": {"onnxruntime": metadata.version("onnxruntime")},
        }

    def encode(self, pixels: Any) -> Any:
        return self._session.run(None, {self._name: pixels})[0]


def open_engine(config: dict[str, Any]) -> Engine:
    return Engine(config)
