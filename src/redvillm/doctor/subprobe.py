"""Running a risky look at a driver in a process of its own, so that a crash or a hang there costs one line of the report.

Knows processes and JSON; does not know what is probed.
"""

import json
import subprocess
import sys
from typing import Any


def run_subprobe(module: str, argument: str, *, timeout_s: float) -> dict[str, Any]:
    """Run `python -m module argument` and return the JSON object it prints last, or {"error": ...} if it crashed or hung.

    What the libraries in it wrote to the standard error stream is added under "log".
    """
    # -P: what lies in the working directory must not stand in for an installed module
    command = [sys.executable, "-P", "-m", module, argument]
    try:
        result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired:
        return {"error": f"gave no answer within {timeout_s:.0f} s"}
    try:
        answer = json.loads(result.stdout.strip().splitlines()[-1])
    except (ValueError, IndexError):
        answer = None
    if result.returncode != 0 or not isinstance(answer, dict):
        last = (result.stderr.strip().splitlines() or ["no message"])[-1]
        return {"error": f"its process ended with status {result.returncode}: {last[:200]}"}
    return answer | {"log": result.stderr}
