"""More than one thread: the same bits, several callers, parked workers, fork and exit."""

import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from redvillm.errors import OptionsError
from redvillm.kernels import _native, frame_energy, ops, spatio_temporal_pool

LEVELS = _native.supported_levels()
# One patch, one block of patches, an uneven last block, more blocks than are made, fewer rows than threads.
SHAPES = [(1, 1, 1), (5, 32, 17), (3, 33, 65), (4, 65, 2049), (9, 131, 31), (2, 300, 16), (1, 577, 35)]


def clip(shape, dtype, seed=5):
    x = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    return (x.view(np.uint32) >> 16).astype(np.uint16) if dtype == "bfloat16" else x.astype(dtype)


def pool(x, weights, level, threads):
    results = np.full(x.shape[1:], np.nan, np.float32), np.full((x.shape[0], x.shape[2]), np.nan, np.float32)
    _native.pool(x, weights, *results, level, threads)
    return results


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("shape", SHAPES)
def test_any_number_of_threads_gives_the_same_bits(shape, dtype, level):
    x = clip(shape, dtype)
    weights = np.random.default_rng(2).dirichlet(np.ones(shape[0])).astype(np.float32)
    energy = np.full((shape[0] - 1, shape[1]), np.nan, np.float32)
    _native.frame_energy(x, energy, level)
    for given in (None, weights):
        alone = pool(x, given, level, 1)
        assert not any(np.isnan(result).any() for result in alone)
        for threads in range(2, _native.MAX_THREADS + 1):
            assert all(map(np.array_equal, pool(x, given, level, threads), alone))
    for threads in range(2, _native.MAX_THREADS + 1):
        again = np.full_like(energy, np.nan)
        _native.frame_energy(x, again, level, threads)
        assert np.array_equal(energy, again)


def test_the_public_functions_pass_threads_on():
    x = clip((6, 70, 33), "float32")
    assert ops.MAX_THREADS == _native.MAX_THREADS
    for backend in ("native", "reference"):
        for one, other in zip(spatio_temporal_pool(x, backend=backend), spatio_temporal_pool(x, backend=backend, threads=3), strict=True):
            assert np.array_equal(one, other)
        assert np.array_equal(frame_energy(x, backend=backend), frame_energy(x, backend=backend, threads=3))


@pytest.mark.parametrize("threads", [0, -1, 9, 1.5, "2", None])
def test_refuses_other_numbers_of_threads(threads):
    x = clip((2, 3, 4), "float32")
    for call in (spatio_temporal_pool, frame_energy):
        with pytest.raises(OptionsError, match=r"threads.*from 1 to 8"):
            call(x, threads=threads)


def test_several_callers_at_once():
    clips = [clip((7, 260, 48), "float32", seed) for seed in range(6)]
    expected = [spatio_temporal_pool(x) for x in clips]
    wrong = []

    def call(number):
        for _ in range(100):
            results = spatio_temporal_pool(clips[number], threads=1 + number)
            if not all(map(np.array_equal, results, expected[number])):
                wrong.append(number)

    callers = [threading.Thread(target=call, args=(number,)) for number in range(len(clips))]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert not wrong


def num_os_threads():
    return len(list(Path("/proc/self/task").iterdir()))


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="counts threads in Linux's /proc")
def test_workers_are_kept_and_used_again():
    x = clip((4, 300, 64), "float32")
    spatio_temporal_pool(x, threads=8)
    before = num_os_threads()
    for threads in range(2, 9):
        for _ in range(20):
            spatio_temporal_pool(x, threads=threads)
    assert num_os_threads() == before


def test_parked_workers_take_no_time():
    spatio_temporal_pool(clip((4, 300, 64), "float32"), threads=8)
    start_s = time.process_time()
    time.sleep(0.3)
    assert time.process_time() - start_s < 0.1  # seven spinning workers would take 0.3 s and more


def run(script):
    command = [sys.executable, "-c", textwrap.dedent(script)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


PREPARE = """
import os, sys, threading, time, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # of fork() where there are threads, which is what is tested
import numpy as np
from redvillm.kernels import spatio_temporal_pool
x = np.arange(4 * 300 * 64, dtype=np.float32).reshape(4, 300, 64)
expected = spatio_temporal_pool(x)
def check(threads):
    assert all(map(np.array_equal, spatio_temporal_pool(x, threads=threads), expected))
"""


def test_a_forked_child_works():
    """Forks between calls and while another thread is calling, and again from the child."""
    result = run(
        PREPARE
        + """
check(4)
stop = threading.Event()
def call():
    while not stop.is_set():
        check(3)
caller = threading.Thread(target=call)
caller.start()
for _ in range(20):
    child = os.fork()
    if not child:
        check(4)
        grandchild = os.fork()
        if not grandchild:
            check(8)
            os._exit(0)
        os._exit(os.waitstatus_to_exitcode(os.waitpid(grandchild, 0)[1]))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
stop.set()
caller.join()
check(4)
print("parent and children agree")
"""
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout == "parent and children agree\n"


@pytest.mark.parametrize("calling", [False, True])
def test_the_interpreter_exits(calling):
    result = run(
        PREPARE
        + f"""
check(8)
def call():
    while True:
        check(4)
if {calling}:
    threading.Thread(target=call, daemon=True).start()
    time.sleep(0.2)
print("the end")
"""
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout == "the end\n"
