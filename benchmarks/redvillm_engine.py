"""redvillm itself as a measured engine, through its public face."""

import platform
import time
from importlib import metadata

import redvillm
from redvillm.benchmarks.engine import Description, Measurement, Task
from redvillm.manifest import Graphs
from redvillm.runtime.options import GenerationOptions
from redvillm.runtime.timings import Timings

_PACKAGES = ("redvillm", "onnxruntime", "onnxruntime-gpu", "numpy", "tokenizers")


class RedvillmEngine:
    """A loaded bundle."""

    def __init__(self, bundle: str, threads: int | None, target: str = "cpu") -> None:
        """Load the bundle; raises as `redvillm.load`."""
        self._model = redvillm.load(bundle, target=target, threads=threads, verify="sizes")

    def describe(self) -> Description:
        """Read provider and threads from the sessions that run."""
        installed = {distribution.name for distribution in metadata.distributions()}
        versions = {package: metadata.version(package) for package in _PACKAGES if package in installed} | {"python": platform.python_version()}
        precision = self._model.manifest.precision
        detail = f"vision {precision[Graphs.VISION]}, LLM {precision[Graphs.DECODER]}"
        return Description("redvillm", _words(self._model.providers), detail, self._model.threads, versions)

    def measure(self, task: Task) -> Measurement:
        """Ask about the file, then ask again about the same clip, which finds the visual prefix in the cache."""
        options = GenerationOptions(max_new_tokens=task.num_new_tokens, min_new_tokens=task.num_new_tokens)
        asked_s = time.perf_counter()
        with_clip = self._model.watch(task.clip, num_frames=task.num_frames)
        watched_s = time.perf_counter()
        first = with_clip.ask(task.question, options=options)
        timings, text = first.timings, first.text
        second = with_clip.ask(f"{task.question} Answer again.", options=options).timings
        before_ms = (watched_s - asked_s) * 1e3
        vision_ms = timings.preprocess_ms + timings.encode_ms + timings.pool_ms
        return Measurement(_stages(timings, second, before_ms, with_clip.timings.newest_frame_ms or 0.0), text, task.num_frames / vision_ms * 1e3)


def _words(providers: dict[str, str]) -> str:
    """What runs all graphs, or what runs each."""
    kinds = set(providers.values())
    return kinds.pop() if len(kinds) == 1 else "; ".join(f"{graph} on {words}" for graph, words in providers.items())


def _stages(timings: Timings, second: Timings, before_ms: float, newest_frame_ms: float) -> dict[str, float]:
    assert timings.per_token_ms is not None
    return {
        "decode_ms": timings.decode_ms,
        "preprocess_ms": timings.preprocess_ms,
        "encode_ms": timings.encode_ms,
        "pool_ms": timings.pool_ms,
        "align_ms": timings.align_ms,
        "perception_ms": timings.perception_ms,
        "prefill_ms": timings.prefill_ms,
        "question_ms": timings.first_token_ms,
        "prompt_ms": timings.prefill_ms + timings.first_token_ms,
        "per_token_ms": timings.per_token_ms,
        "ttft_ms": before_ms + timings.ttft_ms,
        "frame_to_first_token_ms": newest_frame_ms + timings.ttft_ms,
        "frame_to_answer_ms": newest_frame_ms + timings.total_ms,
        "total_ms": before_ms + timings.total_ms,
        "second_question_ttft_ms": second.ttft_ms,
    }
