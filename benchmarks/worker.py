"""A process that holds one engine: reads tasks as JSON lines on standard input, writes results as JSON lines on standard output.

Knows engines by name; does not know what is done with the results.
"""

import argparse
import json
import os
import resource
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from redvillm.benchmarks.engine import Engine, Task
from redvillm.errors import RedvillmError


def main() -> int:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser(prog="python -m redvillm.benchmarks.worker")
    parser.add_argument("engine")
    parser.add_argument("model")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--target", default="cpu")
    given = parser.parse_args()
    results = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever a library prints must not mix with the results
    try:
        engine = _open(given.engine, given.model, given.threads, given.target)
        _send(results, {"description": asdict(engine.describe())})
        for line in sys.stdin:
            measurement = engine.measure(Task(**json.loads(line)))
            _send(results, {**asdict(measurement), "peak_memory_mb": _peak_memory_mb()})
    except RedvillmError as error:
        _send(results, {"error": str(error)})
        return 1
    return 0


def _open(name: str, model: str, threads: int | None, target: str) -> Engine:
    if name == "redvillm":
        from redvillm.benchmarks.redvillm_engine import RedvillmEngine

        return RedvillmEngine(model, threads, target)
    from redvillm.benchmarks.transformers_engine import TransformersEngine

    return TransformersEngine(model, threads)


def _send(stream: TextIO, record: dict[str, Any]) -> None:
    stream.write(json.dumps(record) + "\n")
    stream.flush()


def _peak_memory_mb() -> float:
    """Peak resident memory, 10^6 bytes."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    # rusage would begin with the peak of the process that started this one
    return next(int(line.split()[1]) for line in status.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM")) * 1024 / 1e6


if __name__ == "__main__":
    sys.exit(main())
