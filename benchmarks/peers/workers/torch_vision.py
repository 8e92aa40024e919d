"""The torch module that the bundle's vision.onnx was exported from."""

from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from redvillm.export.efficientnet import load_efficientnet_lite0


class Engine:
    def __init__(self, config: dict[str, Any]) -> None:
        torch.set_num_threads(config["threads"])
        self._encoder = load_efficientnet_lite0(Path(config["model"]))
        self._weight_bytes = Path(config["model"]).stat().st_size

    def describe(self) -> dict[str, Any]:
        return {
            "precision": "float32",
            "provider": "torch CPU",
            "weight_bytes": self._weight_bytes,
            "versions": {"torch": metadata.version("torch")},
        }

    def encode(self, pixels: Any) -> Any:
        with torch.inference_mode():
            return self._encoder(torch.from_numpy(pixels)).numpy()


def open_engine(config: dict[str, Any]) -> Engine:
    return Engine(config)
