"""llama.cpp through llama-cpp-python."""

from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np


class Engine:
    def __init__(self, config: dict[str, Any]) -> None:
        threads, tokens = config["threads"], config["max_context_tokens"]
        self._llm = llama_cpp.Llama(config["model"], n_ctx=tokens, n_batch=512, n_threads=threads, n_threads_batch=threads, verbose=False)
        self._path = config["model"]
        self._precision = config["precision"]
        self._last = 0

    def describe(self) -> dict[str, Any]:
        features = llama_cpp.llama_print_system_info().decode()
        enabled = [part.split("=")[0].split(":")[-1].strip() for part in features.split("|") if part.strip().endswith("= 1")]
        return {
            "precision": self._precision,
            "provider": "ggml CPU " + " ".join(enabled),
            "weight_bytes": Path(self._path).stat().st_size,
            "versions": {"llama-cpp-python": llama_cpp.__version__},
        }

    def rewind(self, length: int) -> None:
        self._llm.n_tokens = length  # eval drops what follows from the cache

    def append(self, ids: list[int]) -> int:
        self._llm.eval(ids)
        logits = np.ctypeslib.as_array(self._llm._ctx.get_logits_ith(-1), shape=(self._llm.n_vocab(),))
        self._last = int(np.argmax(logits))
        return self._last

    def step(self) -> int:
        return self.append([self._last])


def open_engine(config: dict[str, Any]) -> Engine:
    return Engine(config)
