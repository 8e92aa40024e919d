"""OpenVINO GenAI, which reads the GGUF file itself: its pipeline with paged attention, and prefix caching for the question on a known context.

The pipeline takes whole prompts only, so that it is measured by the times its tokens come at. A new first token in every task keeps earlier
prompts out of the prefix cache where they must not be found.
"""

import time
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import openvino_genai as genai


class Engine:
    def __init__(self, config: dict[str, Any]) -> None:
        scheduler = genai.SchedulerConfig()
        scheduler.enable_prefix_caching = True
        scheduler.cache_size = 1
        self._pipeline = genai.LLMPipeline(config["model"], "CPU", scheduler_config=scheduler, INFERENCE_NUM_THREADS=config["threads"])
        self._weight_bytes = Path(config["model"]).stat().st_size
        self._precision = config["precision"]
        self._number = 0

    def describe(self) -> dict[str, Any]:
        return {
            "precision": self._precision,
            "provider": "OpenVINO CPU",
            "weight_bytes": self._weight_bytes,
            "versions": {name: metadata.version(name) for name in ("openvino-genai", "openvino")},
        }

    def measure(self, task: dict[str, Any]) -> dict[str, Any]:
        context, question, steps = task["context"], task["question"], task["num_new_tokens"]
        _, tokens = self._generate(context, 1 + steps)  # what is compared with the other engines' tokens
        self._number += 1
        fresh = [1000 + self._number, *context[1:]]
        times_s, _ = self._generate(fresh, 1 + steps)
        cached_s, _ = self._generate(fresh + question, 1)
        self._number += 1
        whole_s, _ = self._generate([1000 + self._number, *context[1:], *question], 1)
        return {
            "prefill_per_s": len(context) / times_s[0],
            "decode_per_s": steps / (times_s[-1] - times_s[0]),
            "ttft_cached_ms": cached_s[0] * 1e3,
            "ttft_ms": whole_s[0] * 1e3,
            "tokens": tokens,
        }

    def _generate(self, ids: list[int], num_new_tokens: int) -> tuple[list[float], list[int]]:
        """Return when each token came, seconds after the start, and the tokens."""
        options = genai.GenerationConfig(max_new_tokens=num_new_tokens, min_new_tokens=num_new_tokens, ignore_eos=True, do_sample=False)
        given = openvino.Tensor(np.array([ids], dtype=np.int64))
        mask = openvino.Tensor(np.ones((1, len(ids)), dtype=np.int64))
        start_s = time.perf_counter()
        result = self._pipeline.generate(genai.TokenizedInputs(given, mask), options)
        metrics = result.perf_metrics
        first_s = metrics.get_ttft().mean / 1e3
        if num_new_tokens == 1:
            return [time.perf_counter() - start_s], list(result.tokens[0])
        return [first_s, first_s + metrics.get_tpot().mean / 1e3 * (num_new_tokens - 1)], list(result.tokens[0])


def open_engine(config: dict[str, Any]) -> Engine:
    return Engine(config)
