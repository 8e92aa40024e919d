"""The TensorRT plugin of `redvillm::SpatioTemporalPool`, in Python: shapes, types and formats here, the work in the CUDA launcher.

Written for the part of IPluginV3 that is the same from TensorRT 10.3 to 11.4 and in TensorRT for RTX
(https://docs.nvidia.com/deeplearning/tensorrt/latest/_static/python-api/infer/Plugin/IPluginV3.html). An engine built with it needs it registered,
and Python, when it runs; `tensorrt_aot` makes engines that need neither. Knows TensorRT's plugin interface; does not know graphs or engines.
"""
# ruff: noqa: ARG002, PLR0917 (TensorRT fixes the arguments)

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from redvillm.errors import BackendError
from redvillm.kernels.tensorrt_journal import PluginJournal
from redvillm.kernels.tensorrt_module import TensorRT, load_tensorrt
from redvillm.kernels.tensorrt_rules import ELEMENTS, NAME, NAMESPACE, NUM_OUTPUTS, VERSION, Element, check_sizes, check_types, takes_format


class Launcher(Protocol):
    """What the plugin needs of `redvillm.kernels.cuda_library.CudaLibrary`."""

    def pool(
        self,
        x_pointer: int,
        element: Element,
        sizes: tuple[int, int, int],
        weights_pointer: int | None,
        temporal_pointer: int,
        spatial_pointer: int,
        stream: int,
    ) -> None:
        """Launch the kernel on device pointers."""


def register_plugin(tensorrt: TensorRT | None = None, *, load_launcher: Callable[[], Launcher] | None = None) -> PluginJournal:
    """Register the plugin in this process, for building engines and for running them.

    A second call changes nothing and returns the journal of the first. The registry of TensorRT keeps the plugin alive.

    Args:
        tensorrt: the library; None takes the one that `load_tensorrt` chooses.
        load_launcher: returns what `enqueue` launches the kernel with, called when an engine is made ready to run;
            None stands for `redvillm.kernels.cuda_library.load_cuda_library`. Building engines for RTX GPUs needs no launcher.

    Raises:
        BackendError: no TensorRT, or something else has that name in the registry already.
    """
    chosen = load_tensorrt() if tensorrt is None else tensorrt
    registry = chosen.module.get_plugin_registry()
    for creator in registry.all_creators:
        if (creator.name, creator.plugin_version, creator.plugin_namespace) == (NAME, VERSION, NAMESPACE):
            journal = getattr(creator, "journal", None)
            if isinstance(journal, PluginJournal):
                return journal
            raise BackendError(
                f"TensorRT's registry has a plugin {NAMESPACE}::{NAME} version {VERSION} of another kind already; start another process for this one"
            )
    creator = _make_creator(chosen.module, load_launcher or _load_launcher)
    if not registry.register_creator(creator, NAMESPACE):
        raise BackendError(f"{chosen} did not take the plugin {NAMESPACE}::{NAME}; its log says why")
    journal = creator.journal
    assert isinstance(journal, PluginJournal)
    return journal


def _load_launcher() -> Launcher:
    from redvillm.kernels.cuda_library import load_cuda_library

    return load_cuda_library()


def _make_creator(trt: Any, load_launcher: Callable[[], Launcher]) -> Any:
    """Return a creator. The classes are made here because their bases belong to the library that was chosen."""

    class Plugin(trt.IPluginV3, trt.IPluginV3OneCore, trt.IPluginV3OneBuild, trt.IPluginV3OneRuntime):  # type: ignore[misc]
        """All capabilities in one object, as TensorRT's own samples do."""

        def __init__(self, journal: PluginJournal) -> None:
            for base in (trt.IPluginV3, trt.IPluginV3OneCore, trt.IPluginV3OneBuild, trt.IPluginV3OneRuntime):
                base.__init__(self)
            self.plugin_name, self.plugin_version, self.plugin_namespace = NAME, VERSION, NAMESPACE
            self.num_outputs = NUM_OUTPUTS
            self.timing_cache_id = ""
            self.journal = journal
            self.launcher: Launcher | None = None

        def get_capability_interface(self, type: Any) -> Any:
            return self

        def clone(self) -> Any:
            with self.journal.call("clone"):
                copy = Plugin(self.journal)
                copy.launcher = self.launcher
                return copy

        def get_output_data_types(self, input_types: Sequence[Any]) -> list[Any]:
            with self.journal.call("get_output_data_types"):
                check_types([element.name for element in input_types])
                return [input_types[0]] * NUM_OUTPUTS

        def get_output_shapes(self, inputs: Sequence[Any], shape_inputs: Sequence[Any], expr_builder: Any) -> list[Any]:
            with self.journal.call("get_output_shapes"):
                check_sizes([[size.get_constant_value() if size.is_constant() else None for size in shape] for shape in inputs])
                num_frames, num_patches, width = inputs[0]
                return [trt.DimsExprs([num_patches, width]), trt.DimsExprs([num_frames, width])]

        def supports_format_combination(self, pos: int, in_out: Sequence[Any], num_inputs: int) -> bool:
            with self.journal.call("supports_format_combination"):
                tensors = [tensor.desc for tensor in in_out[: pos + 1]]
                linear = tensors[pos].format == trt.TensorFormat.LINEAR
                return takes_format(pos, [tensor.type.name for tensor in tensors], num_inputs, linear=linear)

        def configure_plugin(self, inp: Sequence[Any], out: Sequence[Any]) -> None:
            with self.journal.call("configure_plugin"):
                check_sizes([_known(tensor.min) for tensor in inp])
                check_sizes([_known(tensor.max) for tensor in inp])

        def on_shape_change(self, inp: Sequence[Any], out: Sequence[Any]) -> None:
            with self.journal.call("on_shape_change"):
                check_sizes([_known(tensor.dims) for tensor in inp])

        def get_fields_to_serialize(self) -> Any:
            with self.journal.call("get_fields_to_serialize"):
                return trt.PluginFieldCollection([])

        def set_tactic(self, tactic: int) -> None:
            with self.journal.call("set_tactic"):
                return

        def attach_to_context(self, context: Any) -> Any:
            with self.journal.call("attach_to_context"):
                copy = self.clone()
                copy.launcher = load_launcher() if self.launcher is None else self.launcher
                return copy

        def enqueue(
            self,
            input_desc: Sequence[Any],
            output_desc: Sequence[Any],
            inputs: Sequence[int],
            outputs: Sequence[int],
            workspace: int,
            stream: int,
        ) -> None:
            with self.journal.call("enqueue"):
                sizes = [tuple(tensor.dims) for tensor in input_desc]
                check_sizes(sizes)
                element = ELEMENTS[check_types([tensor.type.name for tensor in input_desc])]
                if self.launcher is None:
                    self.launcher = load_launcher()
                weights = inputs[1] if len(inputs) == 2 else None
                self.launcher.pool(inputs[0], element, sizes[0], weights, outputs[0], outputs[1], stream)

    class Creator(trt.IPluginCreatorV3One):  # type: ignore[misc]
        """Makes the plugin for the parser and for engines that are loaded; it has no fields."""

        def __init__(self) -> None:
            super().__init__()
            self.name, self.plugin_version, self.plugin_namespace = NAME, VERSION, NAMESPACE
            self.field_names = trt.PluginFieldCollection([])
            self.journal = PluginJournal()

        def create_plugin(self, name: str, field_collection: Any, phase: Any) -> Any:
            with self.journal.call("create_plugin"):
                self.journal.add_layer(name)
                return Plugin(self.journal)

    return Creator()


def _known(dims: Sequence[int]) -> list[int | None]:
    return [None if size < 0 else size for size in dims]
