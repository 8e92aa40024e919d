"""The machine that figures were measured on: processor, cores, memory, kernel. Knows Linux's /proc; says 'unknown' elsewhere."""

import os
import platform
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True)
class Machine:
    """What a reader needs to judge the figures."""

    processor: str
    num_cores: int
    memory_gb: float
    system: str


def describe_machine() -> Machine:
    """Read the description of this machine."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Machine(_processor_name(), cores, round(psutil.virtual_memory().total / 2**30, 1), f"{platform.system()} {platform.release()}")


def _processor_name() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith(("model name", "Model"))]
    return names[0] if names else platform.processor() or "unknown"
