"""onnxruntime-genai."""

import json
from importlib import metadata
from pathlib import Path
from typing import Any

import onnxruntime_genai as og


class Engine:
    def __init__(self, config: dict[str, Any]) -> None:
        folder = Path(config["model"])
        settings = json.loads((folder / "genai_config.json").read_text(encoding="utf-8"))
        options = settings["model"]["decoder"].setdefault("session_options", {})
        options["intra_op_num_threads"] = config["threads"]
        opened = og.Config(str(folder))
        opened.overlay(json.dumps({"model": {"decoder": {"session_options": options}}}))
        self._model = og.Model(opened)
        self._max_context_tokens = config["max_context_tokens"]
        self._weight_bytes = sum(path.stat().st_size for path in folder.glob("model.onnx*"))
        self._generator = self._fresh()

    def _fresh(self) -> Any:
        parameters = og.GeneratorParams(self._model)
        parameters.set_search_options(max_length=self._max_context_tokens, min_length=self._max_context_tokens, do_sample=False)
        return og.Generator(self._model, parameters)

    def describe(self) -> dict[str, Any]:
        return {
            "precision": "int4, block 32, accuracy level 4",
            "provider": "ONNX Runtime CPU",
            "weight_bytes": self._weight_bytes,
            "versions": {name: metadata.version(name) for name in ("onnxruntime-genai", "onnxruntime")},
        }

    def rewind(self, length: int) -> None:
        if length == 0:
            self._generator = self._fresh()
        else:
            self._generator.rewind_to(length)

    def append(self, ids: list[int]) -> int:
        self._generator.append_tokens(ids)
        return self.step()

    def step(self) -> int:
        self._generator.generate_next_token()
        return int(self._generator.get_next_tokens()[0])


def open_engine(config: dict[str, Any]) -> Engine:
    return Engine(config)
