"""The same model run by transformers and torch, float32, as its users would run it: the peer of the benchmark.

The same decoding and sampling of the clip, the same weights (the 4-bit values as float32), the same prompt. Frames are encoded in one batch; the LLM
generates with transformers' own `generate` and its key-value cache; a next question reads the whole prompt again, as `generate` does by itself.
"""

import os
import platform
import time
from importlib import metadata
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from transformers.generation import BaseStreamer

from redvillm import zoo
from redvillm.benchmarks.engine import Description, Measurement, Task
from redvillm.export.composition import SYSTEM_PROMPT
from redvillm.export.llama import load_llama
from redvillm.export.nano import load_vision, locate_sources
from redvillm.export.pooling import pool_streams
from redvillm.export.tokenizer import read_prompt
from redvillm.prompt import Prompt
from redvillm.runtime.bundle import open_bundle
from redvillm.runtime.clip import ClipPass
from redvillm.runtime.timings import Stopwatch

_PACKAGES = ("torch", "transformers", "numpy", "tokenizers")


class _Clock(BaseStreamer):  # type: ignore[misc]
    """Notes when each token comes; the first call brings the prompt."""

    def __init__(self) -> None:
        self.times_s: list[float] = []

    def put(self, value: torch.Tensor) -> None:  # noqa: ARG002 (the interface of transformers)
        self.times_s.append(time.perf_counter())

    def end(self) -> None:
        """Nothing is held back."""


class TransformersEngine:
    """EfficientNet and adapter in torch, SmolLM2 in transformers."""

    def __init__(self, bundle: str, threads: int | None) -> None:
        """Load the torch model that `bundle` was exported from; raises what loading and exporting raise."""
        self._threads = threads or os.cpu_count() or 1
        torch.set_num_threads(self._threads)
        manifest = open_bundle(bundle, target="cpu", verify="sizes").manifest
        sources = locate_sources(zoo.model_named(manifest.name))
        self._vision = load_vision(sources)
        self._llm = load_llama(sources.llm)
        self._prompt = Prompt(*read_prompt(sources.llm, SYSTEM_PROMPT))

    def describe(self) -> Description:
        """Torch runs on the CPU in the weights' type."""
        versions = {package: metadata.version(package) for package in _PACKAGES} | {"python": platform.python_version()}
        return Description(
            "transformers + torch", f"torch {self._llm.device.type}", str(self._llm.dtype).removeprefix("torch."), self._threads, versions
        )

    @torch.inference_mode()
    def measure(self, task: Task) -> Measurement:
        """Decode, encode, pool, align, generate."""
        watch = Stopwatch()
        start_s = time.perf_counter()
        pixels = self._frames(task, watch)
        newest_s = time.perf_counter()
        with watch.measure("encode"):
            features = self._vision.encoder(torch.from_numpy(pixels))
        with watch.measure("pool"):
            streams = pool_streams(features, self._vision.adapter.options.num_motion_tokens)
        with watch.measure("align"):
            visual_tokens = self._vision.adapter(*streams)
        perceived_s = time.perf_counter()
        times_s, text = self._generate(visual_tokens, task.question, task.num_new_tokens)
        second_start_s = time.perf_counter()
        second_times_s, _ = self._generate(visual_tokens, f"{task.question} Answer again.", 2)
        stages_ms = {f"{stage}_ms": watch.spent_ms(stage) for stage in ("decode", "preprocess", "encode", "pool", "align")}
        stages_ms["decode_ms"] = (newest_s - start_s) * 1e3 - stages_ms["preprocess_ms"]
        stages_ms |= {
            "perception_ms": (perceived_s - start_s) * 1e3,
            "prompt_ms": (times_s[0] - perceived_s) * 1e3,
            "per_token_ms": (times_s[-1] - times_s[0]) / (len(times_s) - 1) * 1e3,
            "ttft_ms": (times_s[0] - start_s) * 1e3,
            "frame_to_first_token_ms": (times_s[0] - newest_s) * 1e3,
            "frame_to_answer_ms": (times_s[-1] - newest_s) * 1e3,
            "total_ms": (times_s[-1] - start_s) * 1e3,
            "second_question_ttft_ms": (second_times_s[0] - second_start_s) * 1e3,
        }
        vision_ms = stages_ms["preprocess_ms"] + stages_ms["encode_ms"] + stages_ms["pool_ms"]
        return Measurement(stages_ms, text, len(pixels) / vision_ms * 1e3)

    def _frames(self, task: Task, watch: Stopwatch) -> NDArray[np.uint8]:
        reader = ClipPass(Path(task.clip), num_frames=task.num_frames, fit=self._vision.fit, plan_duration_s=None, stopwatch=watch)
        return np.stack([frame.pixels for frame in reader])

    def _generate(self, visual_tokens: torch.Tensor, question: str, num_new_tokens: int) -> tuple[list[float], str]:
        table = self._llm.get_input_embeddings()
        before, after = (table(torch.tensor(ids)) for ids in (self._prompt.prefix_ids, self._prompt.suffix_ids(question)))
        clock = _Clock()
        answer = self._llm.generate(
            inputs_embeds=torch.cat((before, visual_tokens, after))[None],
            max_new_tokens=num_new_tokens,
            min_new_tokens=num_new_tokens,
            do_sample=False,
            pad_token_id=0,
            streamer=clock,
        )
        return clock.times_s[-num_new_tokens:], self._prompt.tokenizer.decode(answer[0].tolist())
