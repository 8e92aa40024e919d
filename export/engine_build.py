"""Building an engine, in the worker process: configure, build, write the engine and its key.

Knows TensorRT's builder; does not know the process it runs in.
"""

import time
from pathlib import Path
from typing import Any

from redvillm.engine_key import EngineKey, read_key, write_key
from redvillm.errors import BackendError, BundleFileError, ExportError, OptionsError
from redvillm.export.engine_network import check_network, graph_of, layers_of, parse_network, pooling_layers_of
from redvillm.export.engine_options import EngineOptions, EngineReport, Existing, State
from redvillm.export.engine_watch import Progress, make_logger, make_monitor
from redvillm.files import atomic_file, sha256_of
from redvillm.kernels.tensorrt_device import gpu_architecture
from redvillm.kernels.tensorrt_journal import PluginJournal
from redvillm.kernels.tensorrt_module import TensorRT, load_tensorrt
from redvillm.kernels.tensorrt_plugin import register_plugin

_RTX = "tensorrt_rtx"


def build(onnx: Path, folder: Path, options: EngineOptions, progress: Progress, *, existing: Existing = "replace") -> EngineReport:
    """Build an engine in this process; `existing` as in `engine.build_engine`.

    Raises:
        BackendError: no usable TensorRT, or no GPU where one is needed.
        OptionsError: options that this TensorRT does not have.
        ExportError: TensorRT refused the graph, or the graph is not what the options say.
        StorageError: the disk is full or not writable.
    """
    start = time.perf_counter()
    tensorrt = load_tensorrt(options.flavour)
    architectures = _architectures(tensorrt, options)
    journal = _register(tensorrt, options)
    logger = make_logger(tensorrt.module)
    builder = tensorrt.module.Builder(logger)
    network = parse_network(tensorrt, builder, logger, onnx, pooling=options.pooling, journal=journal)
    pooling_layers = pooling_layers_of(network, options.pooling, journal)
    check_network(tensorrt, network, options, pooling_layers)
    config = _configure(tensorrt, builder, network, options)
    monitor = make_monitor(tensorrt.module, progress)
    config.progress_monitor = monitor
    layers, graph = layers_of(network), graph_of(network)
    key = EngineKey(
        flavour=tensorrt.flavour,
        version=tensorrt.version,
        architectures=architectures,
        precision=options.precision,
        pooling=options.pooling,
        frames=options.frames,
        onnx_sha256=sha256_of(onnx),
    )
    path = folder / key.file_name(onnx.stem)
    state: State = "checked" if existing == "check" else "kept" if existing == "keep" and _is_whole(path, key) else "built"
    if state == "built":
        serialized = builder.build_serialized_network(network, config)
        if serialized is None:
            raise ExportError(f"{tensorrt} cannot build {onnx.name}: {'; '.join((*journal.refusals, *logger.errors)) or 'it does not say why'}")
        with atomic_file(path) as temporary:
            temporary.write_bytes(memoryview(serialized))
        write_key(path, key)
        _keep_timing_cache(config, options.timing_cache)
    return EngineReport(
        path=path,
        key=key,
        size_bytes=0 if state == "checked" else path.stat().st_size,
        build_s=time.perf_counter() - start,
        graph=graph,
        pooling_layers=pooling_layers,
        layers=layers,
        plugin_calls=journal.calls,
        warnings=tuple(dict.fromkeys(logger.warnings)),
        state=state,
    )


def _is_whole(path: Path, key: EngineKey) -> bool:
    """Whether an engine with this key is there; one that was altered or is incomplete is built again."""
    try:
        return read_key(path) == key
    except BundleFileError:
        return False


def _architectures(tensorrt: TensorRT, options: EngineOptions) -> tuple[str, ...]:
    if tensorrt.flavour != _RTX:
        if options.architectures:
            raise OptionsError(f"{tensorrt} builds for the GPU of this machine only; leave architectures empty, or ask for flavour {_RTX!r}")
        return (gpu_architecture(),)
    legal = [name for name in tensorrt.module.ComputeCapability.__members__ if name.startswith("SM")]
    unknown = [name for name in options.architectures if name not in legal]
    if unknown or not options.architectures:
        raise OptionsError(f"architectures is {options.architectures!r:.80}; {tensorrt} builds for one or more of {', '.join(legal)}")
    return options.architectures


def _register(tensorrt: TensorRT, options: EngineOptions) -> PluginJournal:
    if options.pooling == "plugin":
        return register_plugin(tensorrt)
    if options.pooling == "aot":
        from redvillm.kernels.tensorrt_aot import register_aot_plugin

        register_aot_plugin(tensorrt, ptx=options.aot_ptx)
    return PluginJournal()


def _configure(tensorrt: TensorRT, builder: Any, network: Any, options: EngineOptions) -> Any:
    trt = tensorrt.module
    config = builder.create_builder_config()
    if tensorrt.flavour == _RTX:
        config.num_compute_capabilities = len(options.architectures)
        for index, name in enumerate(options.architectures):
            if not config.set_compute_capability(trt.ComputeCapability.__members__[name], index):
                raise BackendError(f"{tensorrt} did not take the architecture {name} beside {', '.join(options.architectures)}; build it by itself")
    if options.workspace_mib is not None:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_mib << 20)
    if options.optimization_level is not None:
        config.builder_optimization_level = options.optimization_level
    if options.detailed:
        config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    if options.timing_cache is not None:
        _use_timing_cache(tensorrt, config, options.timing_cache)
    _add_profile(builder, network, config, options)
    return config


def _add_profile(builder: Any, network: Any, config: Any, options: EngineOptions) -> None:
    profile = builder.create_optimization_profile()
    dynamic = [tensor for tensor in map(network.get_input, range(network.num_inputs)) if tensor.shape[0:1] and tensor.shape[0] < 0]
    for tensor in dynamic:
        rest = tuple(tensor.shape)[1:]
        frames = options.frames
        profile.set_shape(tensor.name, (frames.smallest, *rest), (frames.usual, *rest), (frames.largest, *rest))
    if dynamic and config.add_optimization_profile(profile) < 0:
        raise ExportError(f"TensorRT does not take the frame profile {options.frames}; give other numbers of frames")


def _use_timing_cache(tensorrt: TensorRT, config: Any, path: Path) -> None:
    if tensorrt.flavour == _RTX:
        raise OptionsError(f"{tensorrt} measures nothing while it builds, so it keeps no timing cache; leave timing_cache out")
    cache = config.create_timing_cache(path.read_bytes() if path.is_file() else b"")
    if not config.set_timing_cache(cache, False):
        raise BackendError(f"{path} is a timing cache of another TensorRT or GPU; remove it, or name another file")


def _keep_timing_cache(config: Any, path: Path | None) -> None:
    if path is not None:
        with atomic_file(path) as temporary:
            temporary.write_bytes(memoryview(config.get_timing_cache().serialize()))
