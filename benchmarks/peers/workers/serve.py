"""The process around one peer: reads tasks as JSON lines on standard input, writes results as JSON lines on standard output.

    python serve.py ENGINE.py CONFIG_JSON

Runs in the peer's environment, which has no redvillm: standard library and numpy only. ENGINE.py defines `open_engine(config)`, an object with
`describe()` and either `append(ids) -> id`, `step() -> id`, `rewind(length)` (an LLM with a KV cache, greedy), or `measure(task)` of its own, or
`encode(pixels)` (a vision encoder). Does not know any engine.
"""

import importlib.util
import json
import os
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any


def main() -> int:
    results = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever a library prints must not mix with the results

    def send(record: dict[str, Any]) -> None:
        results.write(json.dumps(record) + "\n")
        results.flush()

    try:
        engine = load(sys.argv[1]).open_engine(json.loads(sys.argv[2]))
        send(engine.describe())
        for line in sys.stdin:
            task = json.loads(line)
            measured = measure_vision(engine, task) if "pixels" in task else measure_language(engine, task)
            send({**measured, "peak_memory_mb": peak_memory_mb()})
    except Exception as error:  # a library's errors have no common base; the reader reports the reason
        send({"error": f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"})
        return 1
    return 0


def peak_memory_mb() -> float:
    """Peak resident memory, 10^6 bytes. The kernel's rusage would begin with the peak of the process that started this one."""
    with Path("/proc/self/status").open(encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) * 1024 / 1e6


def load(path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location("engine", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def measure_language(engine: Any, task: dict[str, Any]) -> dict[str, Any]:
    """Prefill, decoding, and both times to a first token; milliseconds and tokens per second. The second half of the prompt is the question."""
    if hasattr(engine, "measure"):
        own: dict[str, Any] = engine.measure(task)
        return own
    context, question, steps = task["context"], task["question"], task["num_new_tokens"]
    engine.rewind(0)
    start_s = time.perf_counter()
    tokens = [engine.append(context)]
    prefilled_s = time.perf_counter()
    for _ in range(steps):
        tokens.append(engine.step())
    decoded_s = time.perf_counter()
    engine.rewind(len(context))
    asked_s = time.perf_counter()
    engine.append(question)
    cached_s = time.perf_counter()
    engine.rewind(0)
    cold_s = time.perf_counter()
    engine.append(context + question)
    whole_s = time.perf_counter()
    return {
        "prefill_per_s": len(context) / (prefilled_s - start_s),
        "decode_per_s": steps / (decoded_s - prefilled_s),
        "ttft_cached_ms": (cached_s - asked_s) * 1e3,
        "ttft_ms": (whole_s - cold_s) * 1e3,
        "tokens": tokens,
    }


def measure_vision(engine: Any, task: dict[str, Any]) -> dict[str, Any]:
    """Milliseconds of one frame, the median of some; the features go to a file when one is named."""
    import numpy as np

    frames = np.load(task["pixels"], allow_pickle=False)
    spent_ms = []
    features = []
    for frame in frames:
        start_s = time.perf_counter()
        features.append(np.asarray(engine.encode(frame[None])).reshape(-1))
        spent_ms.append((time.perf_counter() - start_s) * 1e3)
    if task.get("features"):
        np.save(task["features"], np.stack(features).astype(np.float32))
    return {"encode_ms": float(np.median(spent_ms))}


if __name__ == "__main__":
    sys.exit(main())
