"""What the CUDA compiler says of the kernels: registers, stack, spills and shared memory, per kernel and architecture.

python tests/support/ptxas_report.py        prints the table of docs/cuda.md; needs nvcc on PATH or in $CUDA_HOME/bin, and no device
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

KERNELS = Path(__file__).parents[2] / "kernels" / "csrc" / "cuda"
SOURCES = ("launcher.cu", "aot.cu")
ARCHITECTURES = (80, 86, 87, 89, 90, 100, 110, 120)
NUM_JOBS = 2


@dataclass(frozen=True)
class Resources:
    """One kernel for one architecture; bytes, and registers of 32 bits."""

    kernel: str  # as in the source, "pool_kernel<8, 6, 1, half>", or the name of an extern "C" entry
    architecture: int
    registers: int
    stack_bytes: int
    spill_bytes: int  # stores and loads
    shared_bytes: int  # static


def parse_report(text: str) -> list[Resources]:
    """Read what `nvcc -Xptxas -v` wrote for one or more architectures, one compilation after the other."""
    found = []
    for section in re.split(r"Compiling entry function ", text)[1:]:
        head = re.match(r"'(\w+)' for 'sm_(\d+)\w*'", section)
        frame = re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", section)
        used = re.search(r"Used (\d+) registers(.*)", section)
        if head is None or frame is None or used is None:
            raise ValueError(f"not a report of ptxas: {section[:200]!r}")
        shared = re.search(r"(\d+) bytes smem", used[2])
        stack_bytes, stores, loads = (int(number) for number in frame.groups())
        found.append(
            Resources(readable(head[1]), int(head[2]), int(used[1]), stack_bytes, stores + loads, int(shared[1]) if shared else 0),
        )
    return found


def readable(symbol: str) -> str:
    """Return the kernel that a symbol names: template arguments in words, other symbols as they are."""
    mangled = re.match(r"_ZN8redvillm4cuda\d+(\w+_kernel)I(.+?)EEv", symbol)
    if mangled is None:
        return symbol
    arguments = [number or element for number, element in re.findall(r"Li(\d+)E|(f$|6__half$)", mangled[2])]
    return f"{mangled[1]}<{', '.join({'f': 'float', '6__half': 'half'}.get(argument, argument) for argument in arguments)}>"


def find_nvcc() -> str | None:
    """Return nvcc, from PATH or from $CUDA_HOME; None without one."""
    home = os.environ.get("CUDA_HOME")
    return shutil.which("nvcc") or (shutil.which("nvcc", path=str(Path(home) / "bin")) if home else None)


def known_architectures(nvcc: str) -> list[int]:
    """Return those of ARCHITECTURES that the toolkit compiles for."""
    listed = subprocess.run([nvcc, "--list-gpu-code"], capture_output=True, text=True, check=True).stdout
    return [architecture for architecture in ARCHITECTURES if re.search(rf"sm_{architecture}\b", listed)]


def compile_report(nvcc: str, architectures: Sequence[int]) -> list[Resources]:
    """Compile every kernel for every architecture, warnings being errors, and return what they take."""

    def compile_one(job: tuple[str, int]) -> list[Resources]:
        source, architecture = job
        with tempfile.TemporaryDirectory() as folder:
            options = [
                "-std=c++17",
                "-cubin",
                f"-arch=sm_{architecture}",
                "-Xptxas",
                "-v",
                "-Werror",
                "all-warnings",
                "-o",
                f"{folder}/kernels.cubin",
            ]
            result = subprocess.run([nvcc, *options, str(KERNELS / source)], capture_output=True, text=True, check=False)
        if result.returncode:
            raise RuntimeError(f"{source} for sm_{architecture}: {result.stderr}")
        return parse_report(result.stderr)

    with ThreadPoolExecutor(NUM_JOBS) as pool:
        jobs = [(source, architecture) for architecture in architectures for source in SOURCES]
        return [resources for report in pool.map(compile_one, jobs) for resources in report]


def compile_ptx(nvcc: str, source: str) -> str:
    """Return the PTX of one source for compute_80."""
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "kernels.ptx"
        subprocess.run([nvcc, "-std=c++17", "-ptx", "-arch=compute_80", str(KERNELS / source), "-o", str(made)], capture_output=True, check=True)
        return made.read_text(encoding="utf-8")


def table(report: Sequence[Resources]) -> str:
    """Return registers by kernel and architecture in Markdown; stack, spills and shared memory where they are not zero."""
    architectures = sorted({resources.architecture for resources in report})
    rows = {(resources.kernel, resources.architecture): _cell(resources) for resources in report}
    lines = ["| kernel | " + " | ".join(f"sm_{architecture}" for architecture in architectures) + " |", "| --- |" + " --- |" * len(architectures)]
    for kernel in sorted({resources.kernel for resources in report}):
        lines.append(f"| `{kernel}` | " + " | ".join(rows.get((kernel, architecture), "") for architecture in architectures) + " |")
    return "\n".join(lines)


def _cell(resources: Resources) -> str:
    extra = resources.stack_bytes + resources.spill_bytes + resources.shared_bytes
    what = f"{resources.stack_bytes} stack, {resources.spill_bytes} spilled, {resources.shared_bytes} shared"
    return f"{resources.registers} ({what})" if extra else str(resources.registers)


def main() -> int:
    """Print the table."""
    nvcc = find_nvcc()
    if nvcc is None:
        print("nvcc is neither on PATH nor in $CUDA_HOME/bin", file=sys.stderr)
        return 1
    print(table(compile_report(nvcc, known_architectures(nvcc))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
