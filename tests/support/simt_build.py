"""Builds the CUDA kernels with g++ and the SIMT emulator of tests/simt, as they are or with a fault seeded into a copy of their source."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
KERNELS = ROOT / "kernels" / "csrc" / "cuda"
EMULATOR = ROOT / "tests" / "simt"
WARNINGS = ("-Wall", "-Wextra", "-Wpedantic", "-Werror", "-Wno-unknown-pragmas")
COMMON = ("-std=c++17", "-fPIC", "-ffp-contract=off")
TRACKED = ("-O1", "-fsanitize=thread", "--param", "tsan-instrument-func-entry-exit=0")  # calls, but not the sanitizer's library
SANITIZED = ("-O1", "-fno-omit-frame-pointer", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


@dataclass(frozen=True)
class Seed:
    """A fault: in `file`, `sound` (which must be there) becomes `faulty`."""

    file: str
    sound: str
    faulty: str


def require_gxx() -> str:
    """Return the compiler; without one, skip, but fail in CI."""
    compiler = shutil.which("g++")
    if compiler is None:
        if os.environ.get("CI"):
            pytest.fail("g++ is not on PATH, which CI provides")
        pytest.skip("needs g++, which is not on PATH")
    return compiler


def kernel_sources(folder: Path, seeds: Sequence[Seed]) -> Path:
    """Copy the kernels into `folder` with the faults seeded; return where they are."""
    copy = shutil.copytree(KERNELS, folder / "cuda")
    for seed in seeds:
        source = (copy / seed.file).read_text(encoding="utf-8")
        assert source.count(seed.sound) >= 1, f"{seed.file} no longer has {seed.sound!r}: mend the seed"
        (copy / seed.file).write_text(source.replace(seed.sound, seed.faulty), encoding="utf-8")
    return copy


def build_tracked(folder: Path, seeds: Sequence[Seed] = ()) -> Path:
    """Build a shared library in which every memory access of the kernels is recorded; return its path. With faults, without the entries of aot.cu."""
    kernels = kernel_sources(folder, seeds)
    recorded = [kernels / "launcher.cu", *([] if seeds else [EMULATOR / "aot_entries.cpp"])]
    plain = [EMULATOR / f"{name}.cpp" for name in ("simt", "memory_tracker", "fake_driver", "plan_face")]
    return _build(folder / "libredvillm_simt.so", kernels, seeds, [(recorded, TRACKED), (plain, ("-O1",))], ("-shared", "-Wl,-z,defs"))


def build_sanitized(folder: Path, seeds: Sequence[Seed] = ()) -> Path:
    """Build a program that runs the kernels under the address and undefined-behaviour sanitizers; return its path."""
    kernels = kernel_sources(folder, seeds)
    sources = [kernels / "launcher.cu", *(EMULATOR / f"{name}.cpp" for name in ("simt", "memory_sanitizer", "sanitizer_main"))]
    return _build(folder / "simt_sanitized", kernels, seeds, [(sources, SANITIZED)], SANITIZED)


def _build(
    made: Path, kernels: Path, seeds: Sequence[Seed], groups: Sequence[tuple[Sequence[Path], Sequence[str]]], link_options: Sequence[str]
) -> Path:
    compiler = require_gxx()
    warnings = () if seeds else WARNINGS  # a fault may well leave something unused
    options = (*COMMON, *warnings, f"-I{EMULATOR}/include", f"-I{EMULATOR}", f"-I{kernels}", "-x", "c++", "-c")
    units = [(source, flags, made.parent / f"{source.stem}.o") for sources, flags in groups for source in sources]
    with ThreadPoolExecutor(2) as pool:
        for job in [pool.submit(_run, compiler, *options, *flags, source, "-o", unit) for source, flags, unit in units]:
            job.result()
    _run(compiler, *link_options, *(unit for _, _, unit in units), "-o", made)
    return made


def _run(*command: str | Path) -> None:
    result = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
