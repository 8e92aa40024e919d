"""Opening a graph of a bundle in ONNX Runtime, on the provider that was asked for and no other.

Knows onnxruntime; does not know what a graph computes.
"""

import os
import platform
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from redvillm.errors import BackendError, BundleFileError, OptionsError
from redvillm.runtime.cuda_session import CUDA_OPTIONS, CUDA_PROVIDER, check_places, creation_error, prepare_cuda
from redvillm.runtime.decoder_kernel import choose_decoder_kernel
from redvillm.runtime.pooling_kernel import choose_pooling_kernel

CPU_PROVIDER = "CPUExecutionProvider"
_CPU_INFO = Path("/proc/cpuinfo")
_ERRORS_ONLY = 3  # severity of ONNX Runtime's own log; failures come as exceptions


class Session:
    """An opened graph; `run` may be called from several threads. Made by `open_session`."""

    def __init__(
        self, path: Path, session: Any, *, provider: str, threads: int, pooling_kernel: str | None = None, decoder_kernel: str | None = None
    ) -> None:
        self._path = path
        self._session = session
        self.provider = provider
        self.threads = threads
        self.pooling_kernel = pooling_kernel  # what runs SpatioTemporalPool, in words; None for a graph without it
        self.decoder_kernel = decoder_kernel  # what runs the ops of a decoder, in words; None for a graph without them

    def run(self, output_names: list[str], feeds: dict[str, npt.NDArray[np.generic]]) -> list[npt.NDArray[np.generic]]:
        """Run the graph.

        Raises:
            BackendError: the graph does not take these inputs, or failed.
        """
        try:
            results: list[npt.NDArray[np.generic]] = self._session.run(output_names, feeds)
        except Exception as error:  # the library's errors have no common base
            raise self._failure(error) from error
        return results

    def bind(self) -> Any:
        """Return an onnxruntime.IOBinding of this session, for buffers that stay where they are."""
        return self._session.io_binding()

    def run_bound(self, binding: Any) -> None:
        """Run the graph on the buffers of `binding`.

        Raises:
            BackendError: a buffer is missing or does not fit, or the run failed.
        """
        try:
            self._session.run_with_iobinding(binding)
        except Exception as error:  # as above
            raise self._failure(error) from error

    def _failure(self, error: Exception) -> BackendError:
        return BackendError(f"running {self._path.name} failed ({_first_line(error)}); if the inputs are right, export the bundle again")


def open_session(path: Path, *, provider: str = CPU_PROVIDER, threads: int | None = None, spinning: bool = False) -> Session:
    """Open a graph; its external data must lie beside it.

    Args:
        path: the .onnx file.
        provider: ONNX Runtime's name of the provider that must run it.
        threads: threads of one run; None uses every core that this process may run on.
        spinning: let threads wait for the next operator by spinning while a run lasts, for graphs of many short operators.

    Raises:
        BackendError: onnxruntime or the provider is missing, or the provider did not start; or the custom op is there and cannot be registered.
        BundleFileError: the graph cannot be read.
        OptionsError: `threads` is not positive.
    """
    runtime = _import_runtime()
    available = runtime.get_available_providers()
    if provider not in available:
        raise BackendError(
            f"this onnxruntime has no {provider}; it has {', '.join(available)}. Install the extra that brings it, as 'redvillm doctor' says"
        )
    options = _options(runtime, check_threads(threads), spinning=spinning)
    kernels = {
        "pooling_kernel": choose_pooling_kernel(path, options, provider),
        "decoder_kernel": choose_decoder_kernel(path, options, provider),
    }
    on_cuda = provider == CUDA_PROVIDER
    if on_cuda:
        prepare_cuda(runtime, options)
    try:
        # without the last argument a provider that fails is announced on standard output, and replaced
        session = runtime.InferenceSession(path, options, providers=[(provider, dict(CUDA_OPTIONS)) if on_cuda else provider], enable_fallback=0)
    except Exception as error:  # the library's errors have no common base
        if on_cuda and (failure := creation_error(error, path)) is not None:
            raise failure from error
        raise BundleFileError(f"{path} cannot be opened ({_first_line(error)}); export the bundle again") from error
    running = session.get_providers()[0]
    if running != provider:
        raise BackendError(f"{path.name} was to run on {provider}, but onnxruntime chose {running}; 'redvillm doctor' says what is missing")
    if on_cuda:
        check_places(runtime, session, path)
    return Session(path, session, provider=provider, threads=options.intra_op_num_threads, **kernels)


def check_threads(threads: int | None) -> int:
    """Return the number of threads to use.

    Raises:
        OptionsError: not a positive whole number.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if threads is None:
        return cores
    if type(threads) is not int or threads < 1:
        raise OptionsError(f"threads is {threads!r:.40}; it must be a whole number from 1 on, here best {cores}, or None for that")
    return threads


def _options(runtime: ModuleType, threads: int, *, spinning: bool) -> Any:
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    # Perception and language share the cores: a thread that spins between runs takes them from the other.
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spinning)))
    options.add_session_config_entry("session.force_spinning_stop", "1")
    # Right everywhere, but half as fast where it is not needed.
    options.add_session_config_entry("session.x64quantprecision", str(int(_products_saturate())))
    return options


def _products_saturate() -> bool:
    return platform.machine() in {"x86_64", "AMD64"} and _CPU_INFO.is_file() and products_saturate(_CPU_INFO.read_text(encoding="utf-8"))


def products_saturate(cpu_info: str) -> bool:
    """Return whether an x86 processor, as /proc/cpuinfo tells, adds pairs of 8-bit products in 16 bits: all without VNNI do."""
    flags = {flag for line in cpu_info.splitlines() if line.startswith("flags") for flag in line.partition(":")[2].split()}
    return bool(flags) and not flags & {"avx512_vnni", "avx_vnni"}


def _import_runtime() -> ModuleType:
    try:
        import onnxruntime
    except ImportError as error:
        raise BackendError(f"onnxruntime cannot be imported ({error}); install redvillm[cpu] or redvillm[gpu]") from error
    module: ModuleType = onnxruntime
    return module


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
