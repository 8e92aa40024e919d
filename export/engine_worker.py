"""The process that builds one engine: reads a task as JSON on standard input, writes progress and the result as JSON lines on standard output.

TensorRT may abort its process; here it takes nobody along. Knows JSON; `engine_build` does the work.
"""

import json
import os
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from redvillm.engine_key import FrameProfile
from redvillm.errors import RedvillmError
from redvillm.export.engine_build import build
from redvillm.export.engine_options import EngineOptions


def main() -> int:
    """Do the one task of standard input."""
    send = _sender()
    task = json.loads(sys.stdin.read())
    try:
        options, existing = _options(task["options"]), task.get("existing", "replace")
        report = build(Path(task["onnx"]), Path(task["folder"]), options, lambda step: send({"progress": asdict(step)}), existing=existing)
    except RedvillmError as error:
        send({"error": str(error), "kind": type(error).__name__})
        return 1
    send({"report": {**asdict(report), "path": str(report.path)}})
    return 0


def _sender() -> Callable[[dict[str, Any]], None]:
    stream = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever a library prints must not mix with the results
    lock = threading.Lock()  # TensorRT reports progress from its own threads

    def send(record: dict[str, Any]) -> None:
        with lock:
            stream.write(json.dumps(record) + "\n")
            stream.flush()

    return send


def _options(content: dict[str, Any]) -> EngineOptions:
    paths = {name: Path(content[name]) for name in ("timing_cache", "aot_ptx") if content[name] is not None}
    return EngineOptions(**{**content, **paths, "frames": FrameProfile(**content["frames"]), "architectures": tuple(content["architectures"])})


if __name__ == "__main__":
    sys.exit(main())
