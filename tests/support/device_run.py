"""Runs a TensorRT engine on a GPU, with nothing but the driver for memory. *Not yet run on a device.*"""

import ctypes
from contextlib import ExitStack, contextmanager

import numpy as np

from redvillm.kernels.tensorrt_module import load_tensorrt

DTYPES = {"FLOAT": np.float32, "HALF": np.float16, "UINT8": np.uint8}


def require(status):
    assert status == 0, f"the driver answered with error {status}"


@contextmanager
def device_buffer(driver, size):
    pointer = ctypes.c_uint64()
    require(driver.cuMemAlloc_v2(ctypes.byref(pointer), ctypes.c_size_t(size)))
    try:
        yield pointer
    finally:
        require(driver.cuMemFree_v2(pointer))


def run_engine(path, inputs):
    """Return the outputs of an engine by name; plugins must be registered already."""
    driver = ctypes.CDLL("libcuda.so.1")
    require(driver.cuInit(0))
    context_handle = ctypes.c_void_p()
    require(driver.cuDevicePrimaryCtxRetain(ctypes.byref(context_handle), 0))
    require(driver.cuCtxSetCurrent(context_handle))
    trt = load_tensorrt().module
    runtime = trt.Runtime(trt.Logger(trt.Logger.WARNING))
    engine = runtime.deserialize_cuda_engine(path.read_bytes())
    assert engine is not None
    context = engine.create_execution_context()
    outputs = {}
    with ExitStack() as stack:
        for name, given in inputs.items():
            assert context.set_input_shape(name, given.shape)
            array = np.ascontiguousarray(given)
            pointer = stack.enter_context(device_buffer(driver, array.nbytes))
            require(driver.cuMemcpyHtoD_v2(pointer, array.ctypes.data_as(ctypes.c_void_p), ctypes.c_size_t(array.nbytes)))
            assert context.set_tensor_address(name, pointer.value)
        for name in (engine.get_tensor_name(index) for index in range(engine.num_io_tensors)):
            if name not in inputs:
                array = np.empty(tuple(context.get_tensor_shape(name)), DTYPES[engine.get_tensor_dtype(name).name])
                pointer = stack.enter_context(device_buffer(driver, array.nbytes))
                assert context.set_tensor_address(name, pointer.value)
                outputs[name] = (array, pointer)
        stream = ctypes.c_void_p()
        require(driver.cuStreamCreate(ctypes.byref(stream), 1))
        assert context.execute_async_v3(stream.value)
        require(driver.cuStreamSynchronize(stream))
        for array, pointer in outputs.values():
            require(driver.cuMemcpyDtoH_v2(array.ctypes.data_as(ctypes.c_void_p), pointer, ctypes.c_size_t(array.nbytes)))
        require(driver.cuStreamDestroy_v2(stream))
    return {name: array for name, (array, _) in outputs.items()}
