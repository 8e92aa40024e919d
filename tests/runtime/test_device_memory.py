"""Memory of a GPU over a stand-in of the driver, whose streams only move when they are waited for, and the types of the calls against cuda.h."""

import ctypes
import gc
import subprocess
import threading

import numpy as np
import pytest
from fake_gpu import cuda_headers
from simt_build import require_gxx

from redvillm.errors import BackendError
from redvillm.runtime.cuda_driver import SIGNATURES, Copy2D, CudaDriver
from redvillm.runtime.device_memory import DeviceMemory

PROGRAM = """
#include <cuda.h>
#include <cstddef>
#include <cstdio>
#include <type_traits>
template <typename... Types> void tell(const char* name, CUresult (*)(Types...)) {
    std::printf("%s", name);
    ((std::printf(" %zu%s", sizeof(Types), std::is_pointer<Types>::value ? "p" : "i")), ...);
    std::printf("\\n");
}
int main() {
    CALLS
    FIELDS
    std::printf("size %zu\\n", sizeof(CUDA_MEMCPY2D));
}
"""


def test_the_calls_have_the_types_of_the_header(tmp_path):
    headers = cuda_headers()
    if headers is None:
        pytest.skip("no cuda.h: it comes with the CUDA toolkit")
    calls = "\n".join(f'tell("{name}", &{name});' for name in SIGNATURES)
    fields = "\n".join(f'std::printf("{name} %zu\\n", offsetof(CUDA_MEMCPY2D, {name}));' for name, _ in Copy2D._fields_)
    source, program = tmp_path / "tell.cpp", tmp_path / "tell"
    source.write_text(PROGRAM.replace("CALLS", calls).replace("FIELDS", fields))
    # the functions are only named, never called, so that nothing need be linked
    subprocess.run([require_gxx(), "-std=c++17", "-isystem", headers, source, "-Wl,--unresolved-symbols=ignore-all", "-o", program], check=True)
    told = dict(line.split(" ", 1) for line in subprocess.run([program], check=True, capture_output=True, text=True).stdout.splitlines())
    for name, types in SIGNATURES.items():
        assert told[name].split() == [f"{ctypes.sizeof(kind)}{'p' if kind is ctypes.c_void_p else 'i'}" for kind in types], name
    for name, _ in Copy2D._fields_:
        assert int(told[name]) == getattr(Copy2D, name).offset, name
    assert int(told["size"]) == ctypes.sizeof(Copy2D)


def test_bytes_come_back(gpu):
    memory = gpu.memory()
    assert memory.architecture == "SM87"
    address, host = memory.allocate(1000), memory.allocate_host(1000)
    assert address % 256 == 0
    fresh = np.full(1000, 9, np.uint8)
    memory.download(fresh, address)
    memory.synchronize()
    assert not fresh.any()
    host[:] = np.arange(1000) % 251
    memory.upload(address, host)
    back = np.zeros(500, np.uint8)
    memory.download(back, address + 500)
    assert not back.any()  # nothing moves before it is waited for
    memory.synchronize()
    np.testing.assert_array_equal(back, np.arange(500, 1000) % 251)


def test_rows_are_copied_within_the_gpu(gpu):
    memory = gpu.memory()
    source, target = np.arange(5 * 7, dtype=np.uint8), np.zeros(5 * 11, np.uint8)
    addresses = memory.allocate(source.nbytes), memory.allocate(target.nbytes)
    memory.upload(addresses[0], source)
    memory.copy_rows(addresses[1] + 2, addresses[0] + 1, num_rows=5, num_bytes=3, target_pitch_bytes=11, source_pitch_bytes=7)
    memory.download(target, addresses[1])
    memory.synchronize()
    expected = np.zeros((5, 11), np.uint8)
    expected[:, 2:5] = source.reshape(5, 7)[:, 1:4]
    np.testing.assert_array_equal(target.reshape(5, 11), expected)


def test_a_graph_replays_what_was_captured(gpu):
    memory = gpu.memory()
    one, other, back = memory.allocate(4), memory.allocate_host(4), memory.allocate_host(4)

    def enqueue():
        memory.upload(one, other)
        memory.download(back, one)

    graph = memory.capture(enqueue)
    memory.synchronize()
    assert gpu.calls("cuStreamCreate") == 1
    for value in (3, 7):
        other[:] = value
        graph.launch()
        memory.synchronize()
        assert (back == value).all()
    graph.close()
    graph.close()
    assert gpu.calls("cuGraphExecDestroy") == 1


def test_what_breaks_within_a_capture_leaves_the_stream_usable(gpu):
    memory = gpu.memory()
    address, host = memory.allocate(4), memory.allocate_host(4)

    def fail():
        memory.upload(address, host)
        raise BackendError("no")

    with pytest.raises(BackendError, match="no"):
        memory.capture(fail)
    with pytest.raises(BackendError, match="cuMemcpyHtoDAsync_v2"):
        memory.capture(lambda: memory.upload(address, np.zeros(4, np.uint8)))  # memory that is not page-locked
    with pytest.raises(BackendError, match="cuStreamSynchronize"):
        memory.capture(memory.synchronize)
    held = gpu.num_held
    host[:] = 5
    memory.upload(address, host)
    memory.synchronize()
    assert gpu.num_held == held


def test_everything_is_given_back(gpu):
    memory = gpu.memory()
    memory.allocate(10), memory.allocate_host(10)
    graph = memory.capture(lambda: None)
    assert gpu.num_held == 5  # two buffers, a stream, a graph, a context
    del memory
    gc.collect()
    assert gpu.num_held == 1
    del graph
    gc.collect()
    assert gpu.num_held == 0
    memory = gpu.memory()
    memory.close()
    memory.close()
    assert gpu.num_held == 0


def test_too_little_memory_says_how_much_there_is(gpu):
    gpu.be(memory_bytes=10_000_000)
    memory = gpu.memory()
    memory.allocate(4_000_000)
    with pytest.raises(BackendError, match=r"8\.0 MB .* CUDA_ERROR_OUT_OF_MEMORY \(out of memory\), 6 of the GPU's 10 MB are free"):
        memory.allocate(8_000_000)
    memory.allocate(5_000_000)


def test_other_threads_use_it_after_they_have_activated_it(gpu):
    memory, failures = gpu.memory(), []
    address, host = memory.allocate(4), memory.allocate_host(4)

    def work(*, activates):
        try:
            if activates:
                memory.activate()
            memory.upload(address, host)
            memory.synchronize()
        except BackendError as error:
            failures.append(str(error))

    for activates in (True, False):
        thread = threading.Thread(target=work, kwargs={"activates": activates})
        thread.start()
        thread.join()
    assert len(failures) == 1


@pytest.mark.parametrize("call", ["cuInit", "cuDeviceGet", "cuDevicePrimaryCtxRetain", "cuStreamCreate", "cuDeviceGetAttribute"])
def test_a_driver_that_refuses_is_an_error_and_leaves_nothing(gpu, call):
    gpu.fail(call, 1)
    with pytest.raises(BackendError, match=call):
        DeviceMemory(CudaDriver(gpu.library._name))
    gc.collect()
    assert gpu.num_held == 0


def test_no_driver_and_an_old_one_are_said(tmp_path):
    with pytest.raises(BackendError, match="no NVIDIA driver"):
        CudaDriver(tmp_path / "libcuda.so.1")
    source = tmp_path / "old.c"
    source.write_text("int cuInit(unsigned flags) { return (int)flags; }\n")
    subprocess.run([require_gxx(), "-x", "c", "-shared", "-fPIC", source, "-o", tmp_path / "old.so"], check=True)
    with pytest.raises(BackendError, match=r"has no cuDeviceGet; update it to one of CUDA 11\.4"):
        CudaDriver(tmp_path / "old.so")
