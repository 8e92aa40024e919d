// A stand-in for libcuda.so.1 over the memory of the host, with the prototypes of cuda.h where that is found.
//
// What is put on a stream happens when the stream is synchronized and not before, and what is captured happens when its
// graph is launched, so that a missing wait, a buffer that moved and a copy that was not captured give wrong results.
// Addresses of the device are checked against what was allocated. Every call is counted and written down.

#if __has_include(<cuda.h>)
    #include <cuda.h>
#else
    #include "fake_cuda.h"
#endif

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#define FAKE extern "C" __attribute__((visibility("default")))

namespace {

using Work = std::function<CUresult()>;

struct Graph {
    std::vector<Work> work;
};

struct Stream {
    std::vector<Work> pending;
    bool captures = false;
    bool broken = false;  // the capture met something that it cannot hold
    std::vector<Work> captured;
};

struct State {
    std::mutex mutex;
    std::map<std::uint64_t, std::size_t> device, host;
    std::set<Stream*> streams;
    std::set<Graph*> graphs, executables;
    std::map<std::string, int> calls;
    std::map<std::string, int> failures;  // how many more calls of a function fail
    std::string log;
    int retained = 0;
    std::size_t memory_bytes = std::size_t{1} << 30;
    int major = 8, minor = 7;
};

State& state() {
    static State instance;
    return instance;
}

thread_local bool is_current = false;

// Counts a call; returns the error that a test asked for.
CUresult entered(const char* name, bool needs_context = true) {
    State& fake = state();
    ++fake.calls[name];
    fake.log += name;
    fake.log += ' ';
    int& failing = fake.failures[name];
    if (failing > 0) {
        --failing;
        return CUDA_ERROR_UNKNOWN;
    }
    return needs_context && !is_current ? CUDA_ERROR_INVALID_CONTEXT : CUDA_SUCCESS;
}

bool holds(const std::map<std::uint64_t, std::size_t>& blocks, std::uint64_t address, std::size_t bytes) {
    auto after = blocks.upper_bound(address);
    if (after == blocks.begin()) return false;
    --after;
    return address + bytes <= after->first + after->second;
}

CUresult put(CUstream stream, Work work) {
    Stream* found = reinterpret_cast<Stream*>(stream);
    if (!state().streams.count(found)) return CUDA_ERROR_INVALID_HANDLE;
    (found->captures ? found->captured : found->pending).push_back(std::move(work));
    return CUDA_SUCCESS;
}

bool captures(CUstream stream) {
    return state().streams.count(reinterpret_cast<Stream*>(stream)) && reinterpret_cast<Stream*>(stream)->captures;
}

}  // namespace

#define ENTER(...)                                         \
    const std::lock_guard<std::mutex> lock(state().mutex); \
    if (const CUresult error = entered(__VA_ARGS__); error) return error

// ---- of the driver

FAKE CUresult cuInit(unsigned int) {
    ENTER("cuInit", false);
    return CUDA_SUCCESS;
}
FAKE CUresult cuDeviceGet(CUdevice* device, int ordinal) {
    ENTER("cuDeviceGet", false);
    *device = ordinal;
    return ordinal == 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}
FAKE CUresult cuDeviceGetAttribute(int* value, CUdevice_attribute attribute, CUdevice) {
    ENTER("cuDeviceGetAttribute", false);
    *value = attribute == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR ? state().major : state().minor;
    return CUDA_SUCCESS;
}
FAKE CUresult cuDevicePrimaryCtxRetain(CUcontext* context, CUdevice) {
    ENTER("cuDevicePrimaryCtxRetain", false);
    *context = reinterpret_cast<CUcontext>(&state());
    ++state().retained;
    return CUDA_SUCCESS;
}
FAKE CUresult cuDevicePrimaryCtxRelease_v2(CUdevice) {
    ENTER("cuDevicePrimaryCtxRelease_v2", false);
    return --state().retained < 0 ? CUDA_ERROR_INVALID_CONTEXT : CUDA_SUCCESS;
}
FAKE CUresult cuCtxSetCurrent(CUcontext context) {
    ENTER("cuCtxSetCurrent", false);
    is_current = context == reinterpret_cast<CUcontext>(&state());
    return is_current ? CUDA_SUCCESS : CUDA_ERROR_INVALID_CONTEXT;
}
FAKE CUresult cuMemGetInfo_v2(std::size_t* free_bytes, std::size_t* total_bytes) {
    ENTER("cuMemGetInfo_v2");
    std::size_t used = 0;
    for (const auto& block : state().device) used += block.second;
    *total_bytes = state().memory_bytes;
    *free_bytes = *total_bytes - used;
    return CUDA_SUCCESS;
}
FAKE CUresult cuMemAlloc_v2(CUdeviceptr* address, std::size_t bytes) {
    ENTER("cuMemAlloc_v2");
    std::size_t used = bytes;
    for (const auto& block : state().device) used += block.second;
    if (bytes == 0) return CUDA_ERROR_INVALID_VALUE;
    if (used > state().memory_bytes) return CUDA_ERROR_OUT_OF_MEMORY;
    void* memory = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
    std::memset(memory, 0xff, bytes);  // NaN in float32 and float16
    *address = reinterpret_cast<std::uintptr_t>(memory);
    state().device[*address] = bytes;
    return CUDA_SUCCESS;
}
FAKE CUresult cuMemFree_v2(CUdeviceptr address) {
    ENTER("cuMemFree_v2");
    if (!state().device.erase(address)) return CUDA_ERROR_INVALID_VALUE;
    std::free(reinterpret_cast<void*>(static_cast<std::uintptr_t>(address)));
    return CUDA_SUCCESS;
}
FAKE CUresult cuMemAllocHost_v2(void** address, std::size_t bytes) {
    ENTER("cuMemAllocHost_v2");
    *address = std::malloc(bytes);
    std::memset(*address, 0xff, bytes);
    state().host[reinterpret_cast<std::uintptr_t>(*address)] = bytes;
    return CUDA_SUCCESS;
}
FAKE CUresult cuMemFreeHost(void* address) {
    ENTER("cuMemFreeHost");
    if (!state().host.erase(reinterpret_cast<std::uintptr_t>(address))) return CUDA_ERROR_INVALID_VALUE;
    std::free(address);
    return CUDA_SUCCESS;
}
FAKE CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void* from, std::size_t bytes, CUstream stream) {
    ENTER("cuMemcpyHtoDAsync_v2");
    if (!holds(state().device, to, bytes)) return CUDA_ERROR_INVALID_VALUE;
    if (captures(stream) && !holds(state().host, reinterpret_cast<std::uintptr_t>(from), bytes))
        return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    return put(stream, [=] {
        std::memcpy(reinterpret_cast<void*>(static_cast<std::uintptr_t>(to)), from, bytes);
        return CUDA_SUCCESS;
    });
}
FAKE CUresult cuMemcpyDtoHAsync_v2(void* to, CUdeviceptr from, std::size_t bytes, CUstream stream) {
    ENTER("cuMemcpyDtoHAsync_v2");
    if (!holds(state().device, from, bytes)) return CUDA_ERROR_INVALID_VALUE;
    if (captures(stream) && !holds(state().host, reinterpret_cast<std::uintptr_t>(to), bytes))
        return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    return put(stream, [=] {
        std::memcpy(to, reinterpret_cast<const void*>(static_cast<std::uintptr_t>(from)), bytes);
        return CUDA_SUCCESS;
    });
}
FAKE CUresult cuMemcpy2DAsync_v2(const CUDA_MEMCPY2D* given, CUstream stream) {
    ENTER("cuMemcpy2DAsync_v2");
    const CUDA_MEMCPY2D copy = *given;
    if (copy.srcMemoryType != CU_MEMORYTYPE_DEVICE || copy.dstMemoryType != CU_MEMORYTYPE_DEVICE)
        return CUDA_ERROR_INVALID_VALUE;
    if (copy.srcXInBytes || copy.srcY || copy.dstXInBytes || copy.dstY || !copy.Height) return CUDA_ERROR_INVALID_VALUE;
    if (copy.WidthInBytes > copy.srcPitch || copy.WidthInBytes > copy.dstPitch) return CUDA_ERROR_INVALID_VALUE;
    const std::size_t rows = copy.Height - 1;
    if (!holds(state().device, copy.srcDevice, rows * copy.srcPitch + copy.WidthInBytes))
        return CUDA_ERROR_INVALID_VALUE;
    if (!holds(state().device, copy.dstDevice, rows * copy.dstPitch + copy.WidthInBytes))
        return CUDA_ERROR_INVALID_VALUE;
    return put(stream, [=] {
        for (std::size_t row = 0; row < copy.Height; ++row) {
            std::memcpy(
                reinterpret_cast<void*>(static_cast<std::uintptr_t>(copy.dstDevice + row * copy.dstPitch)),
                reinterpret_cast<const void*>(static_cast<std::uintptr_t>(copy.srcDevice + row * copy.srcPitch)),
                copy.WidthInBytes);
        }
        return CUDA_SUCCESS;
    });
}
FAKE CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, std::size_t bytes, CUstream stream) {
    ENTER("cuMemsetD8Async");
    if (!holds(state().device, to, bytes)) return CUDA_ERROR_INVALID_VALUE;
    return put(stream, [=] {
        std::memset(reinterpret_cast<void*>(static_cast<std::uintptr_t>(to)), value, bytes);
        return CUDA_SUCCESS;
    });
}
FAKE CUresult cuStreamCreate(CUstream* stream, unsigned int flags) {
    ENTER("cuStreamCreate");
    if (flags != CU_STREAM_NON_BLOCKING) return CUDA_ERROR_INVALID_VALUE;
    Stream* made = new Stream;
    state().streams.insert(made);
    *stream = reinterpret_cast<CUstream>(made);
    return CUDA_SUCCESS;
}
FAKE CUresult cuStreamSynchronize(CUstream stream) {
    std::vector<Work> pending;
    {
        ENTER("cuStreamSynchronize");
        Stream* found = reinterpret_cast<Stream*>(stream);
        if (!state().streams.count(found)) return CUDA_ERROR_INVALID_HANDLE;
        if (found->captures) {
            found->broken = true;
            return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
        }
        pending.swap(found->pending);
    }
    for (const Work& work : pending) {  // unlocked: the work of an engine may call back
        if (const CUresult error = work(); error) return error;
    }
    return CUDA_SUCCESS;
}
FAKE CUresult cuStreamDestroy_v2(CUstream stream) {
    ENTER("cuStreamDestroy_v2");
    Stream* found = reinterpret_cast<Stream*>(stream);
    if (!state().streams.erase(found)) return CUDA_ERROR_INVALID_HANDLE;
    delete found;
    return CUDA_SUCCESS;
}
FAKE CUresult cuStreamBeginCapture_v2(CUstream stream, CUstreamCaptureMode mode) {
    ENTER("cuStreamBeginCapture_v2");
    Stream* found = reinterpret_cast<Stream*>(stream);
    if (!state().streams.count(found) || found->captures) return CUDA_ERROR_ILLEGAL_STATE;
    if (mode != CU_STREAM_CAPTURE_MODE_THREAD_LOCAL) return CUDA_ERROR_INVALID_VALUE;
    found->captures = true;
    found->broken = false;
    found->captured.clear();
    return CUDA_SUCCESS;
}
FAKE CUresult cuStreamEndCapture(CUstream stream, CUgraph* graph) {
    Stream* found = reinterpret_cast<Stream*>(stream);
    {
        const std::lock_guard<std::mutex> lock(state().mutex);
        if (!state().streams.count(found) || !found->captures) return CUDA_ERROR_ILLEGAL_STATE;
        found->captures = false;  // also where it fails
        *graph = nullptr;
    }
    ENTER("cuStreamEndCapture");
    if (found->broken) return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
    Graph* made = new Graph{found->captured};
    state().graphs.insert(made);
    *graph = reinterpret_cast<CUgraph>(made);
    return CUDA_SUCCESS;
}
FAKE CUresult cuGraphInstantiateWithFlags(CUgraphExec* executable, CUgraph graph, unsigned long long flags) {
    ENTER("cuGraphInstantiateWithFlags");
    Graph* found = reinterpret_cast<Graph*>(graph);
    if (!state().graphs.count(found) || flags != 0) return CUDA_ERROR_INVALID_VALUE;
    Graph* made = new Graph(*found);
    state().executables.insert(made);
    *executable = reinterpret_cast<CUgraphExec>(made);
    return CUDA_SUCCESS;
}
FAKE CUresult cuGraphLaunch(CUgraphExec executable, CUstream stream) {
    ENTER("cuGraphLaunch");
    Graph* found = reinterpret_cast<Graph*>(executable);
    if (!state().executables.count(found)) return CUDA_ERROR_INVALID_HANDLE;
    for (const Work& work : found->work) {
        if (const CUresult error = put(stream, work); error) return error;
    }
    return CUDA_SUCCESS;
}
FAKE CUresult cuGraphDestroy(CUgraph graph) {
    ENTER("cuGraphDestroy", false);
    Graph* found = reinterpret_cast<Graph*>(graph);
    if (!state().graphs.erase(found)) return CUDA_ERROR_INVALID_HANDLE;
    delete found;
    return CUDA_SUCCESS;
}
FAKE CUresult cuGraphExecDestroy(CUgraphExec executable) {
    ENTER("cuGraphExecDestroy", false);
    Graph* found = reinterpret_cast<Graph*>(executable);
    if (!state().executables.erase(found)) return CUDA_ERROR_INVALID_HANDLE;
    delete found;
    return CUDA_SUCCESS;
}
FAKE CUresult cuGetErrorName(CUresult error, const char** text) {
    *text = error == CUDA_ERROR_OUT_OF_MEMORY ? "CUDA_ERROR_OUT_OF_MEMORY" : "CUDA_ERROR_FAKE";
    return CUDA_SUCCESS;
}
FAKE CUresult cuGetErrorString(CUresult error, const char** text) {
    *text = error == CUDA_ERROR_OUT_OF_MEMORY ? "out of memory" : "made by a test";
    return CUDA_SUCCESS;
}

// ---- for tests

// Puts a kernel on a stream: a function that is called with `argument` when its turn comes and returns 0, or an error.
FAKE int fake_launch(CUstream stream, int (*kernel)(std::int64_t), std::int64_t argument) {
    ENTER("kernel");
    return put(stream, [=] { return static_cast<CUresult>(kernel(argument)); });
}
FAKE int fake_captures(CUstream stream) {
    const std::lock_guard<std::mutex> lock(state().mutex);
    return captures(stream);
}
FAKE int fake_calls(const char* name) {
    const std::lock_guard<std::mutex> lock(state().mutex);
    return state().calls[name];
}
FAKE void fake_fail(const char* name, int times) {
    const std::lock_guard<std::mutex> lock(state().mutex);
    state().failures[name] = times;
}
FAKE void fake_set(int major, int minor, std::size_t memory_bytes) {
    const std::lock_guard<std::mutex> lock(state().mutex);
    state().major = major;
    state().minor = minor;
    state().memory_bytes = memory_bytes;
}
// What was taken and not given back: buffers, page-locked buffers, streams, graphs, executables, contexts.
FAKE int fake_held() {
    const std::lock_guard<std::mutex> lock(state().mutex);
    const State& fake = state();
    const std::size_t sets = fake.streams.size() + fake.graphs.size() + fake.executables.size();
    return static_cast<int>(fake.device.size() + fake.host.size() + sets) + fake.retained;
}
// Whether an address of the device may be read and written.
FAKE int fake_holds(std::uint64_t address, std::size_t bytes) {
    const std::lock_guard<std::mutex> lock(state().mutex);
    return holds(state().device, address, bytes);
}
