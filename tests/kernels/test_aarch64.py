"""The kernels compiled for AArch64 and run under an emulator: the same bits as here. Skipped where the cross compiler or QEMU is absent."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from redvillm.kernels import _native

COMPILER, EMULATOR = "aarch64-linux-gnu-g++", "qemu-aarch64"
SOURCES = Path(__file__).parents[2] / "kernels" / "csrc"
ELEMENTS = ["float32", "float16", "bfloat16"]

pytestmark = pytest.mark.skipif(
    not shutil.which(COMPILER) or not shutil.which(EMULATOR), reason=f"needs {COMPILER} and {EMULATOR}: apt install g++-aarch64-linux-gnu qemu-user"
)


@pytest.fixture(scope="module")
def dump(tmp_path_factory):
    """The program dump.cpp for AArch64, with the warnings of the real build."""
    program = tmp_path_factory.mktemp("aarch64") / "dump"
    sources = [Path(__file__).parent / "dump.cpp", *(SOURCES / name for name in ("dispatch.cpp", "level_baseline.cpp", "workers.cpp"))]
    options = [
        "-std=c++17",
        "-O3",
        "-ffp-contract=off",
        "-Wall",
        "-Wextra",
        "-Wpedantic",
        "-Wconversion",
        "-Werror",
        "-Wno-psabi",
        "-static",
        "-pthread",
    ]
    subprocess.run([COMPILER, *options, f"-I{SOURCES}", *sources, "-o", program], check=True)
    return program


def here(x, weights):
    """What the program computes, by the native module of this machine."""
    num_frames, num_patches, width = x.shape
    results = []
    for given in (weights, None):
        results += [np.empty((num_patches, width), np.float32), np.empty((num_frames, width), np.float32)]
        _native.pool(x, given, *results[-2:], "baseline")
    results.append(np.empty((num_frames - 1, num_patches), np.float32))
    _native.frame_energy(x, results[-1], "baseline")
    slots, sums = np.zeros((3, num_patches, width), np.float16), np.zeros((num_patches, width))
    spatial, energy = np.empty(width, np.float32), np.empty(num_patches, np.float32)
    for t, frame in enumerate(x):
        oldest, previous = slots[(t + 1) % 3] if t >= 2 else None, slots[(t + 2) % 3] if t >= 1 else None
        _native.push(frame, slots[t % 3], oldest=oldest, previous=previous, sums=sums, spatial=spatial, energy=energy, level="baseline")
    return [*results, slots, sums, spatial, energy]


@pytest.mark.parametrize("element", ELEMENTS)
@pytest.mark.parametrize("shape", [(1, 1, 1), (5, 33, 37), (4, 70, 64), (3, 3, 2053)])
def test_the_bits_are_the_same(shape, element, dump):
    rng = np.random.default_rng(11)
    x = rng.standard_normal(shape).astype(np.float32)
    x.flat[0] = 2.0**-15  # a subnormal half
    x = (x.view(np.uint32) >> 16).astype(np.uint16) if element == "bfloat16" else x.astype(element)
    weights = rng.dirichlet(np.ones(shape[0])).astype(np.float32)
    header = np.array([*shape, ELEMENTS.index(element)], np.uint64)
    output = subprocess.run([EMULATOR, dump], input=b"".join(part.tobytes() for part in (header, weights, x)), capture_output=True, check=True).stdout
    assert output == b"".join(part.tobytes() for part in here(x, weights))
