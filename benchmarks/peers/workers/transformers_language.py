"""transformers and torch, with their own cache."""

from importlib import metadata
from typing import Any

import torch
from transformers import DynamicCache, LlamaForCausalLM


class Engine:
    def __init__(self, config: dict[str, Any]) -> None:
        torch.set_num_threads(config["threads"])
        torch.set_grad_enabled(False)
        self._dtype = config["dtype"]
        self._model = LlamaForCausalLM.from_pretrained(config["model"], dtype=getattr(torch, self._dtype)).eval()
        self._cache = DynamicCache()
        self._last = 0

    def describe(self) -> dict[str, Any]:
        return {
            "precision": self._dtype,
            "provider": "torch CPU",
            "weight_bytes": sum(weight.nbytes for weight in self._model.parameters()),
            "versions": {name: metadata.version(name) for name in ("torch", "transformers")},
        }

    def rewind(self, length: int) -> None:
        if length == 0:
            self._cache = DynamicCache()
        else:
            self._cache.crop(length - self._cache.get_seq_length())  # a negative count is dropped from the end

    def append(self, ids: list[int]) -> int:
        with torch.inference_mode():
            output = self._model(input_ids=torch.tensor([ids]), past_key_values=self._cache, use_cache=True, logits_to_keep=1)
        self._last = int(output.logits[0, -1].argmax())
        return self._last

    def step(self) -> int:
        return self.append([self._last])


def open_engine(config: dict[str, Any]) -> Engine:
    return Engine(config)
