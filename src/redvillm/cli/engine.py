"""`redvillm engine`."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from redvillm.cli.options import Commands
from redvillm.cli.values import integer
from redvillm.errors import OptionsError

if TYPE_CHECKING:
    from redvillm.engine_key import FrameProfile

_GRAPHS = ("vision", "align", "video")
_FLAVOURS = ("tensorrt", "tensorrt_rtx")
_POOLINGS = ("plugin", "aot", "function")


def add_parser(commands: "Commands[argparse.ArgumentParser]", common: argparse.ArgumentParser) -> None:
    """Define the command."""
    parser = commands.add_parser(
        "engine",
        parents=[common],
        help="build the TensorRT engines of a bundle that was exported for target tensorrt",
        description=(
            "Build the TensorRT engines of a bundle: on the device that will run them, or for named GPU architectures with TensorRT for RTX. "
            "Precisions are those of the bundle. Needs TensorRT and neither torch nor onnx. Engines that are there already are kept."
        ),
    )
    parser.add_argument("bundle", metavar="BUNDLE", help="the folder of a bundle, or a model of the zoo that was exported with --target tensorrt")
    help_text = f"which graphs, out of {','.join(_GRAPHS)} (default: all that the bundle has)"
    parser.add_argument("--graphs", type=_graphs, metavar="NAMES", help=help_text)
    help_text = "numbers of frames an engine takes: fewest:usual:most (default: 1 up to the bundle's window)"
    parser.add_argument("--frames", type=_frames, metavar="A:B:C", help=help_text)
    help_text = "GPU architectures to build for, such as SM86,SM89,SM120; TensorRT for RTX only, the other builds for the GPU of this machine"
    parser.add_argument("--architectures", type=_architectures, default=(), metavar="NAMES", help=help_text)
    parser.add_argument("--flavour", choices=_FLAVOURS, help="which TensorRT (default: the first of these that is installed)")
    help_text = "what computes the pooling of video.onnx: redvillm's plugin, its kernel inside the engine, or standard layers (default: %(default)s)"
    parser.add_argument("--pooling", choices=_POOLINGS, default="plugin", help=help_text)
    help_text = "most scratch memory of a layer (default: TensorRT's)"
    parser.add_argument("--workspace-mib", type=integer(1, 1 << 20), metavar="MIB", help=help_text)
    help_text = "0 builds fastest, 5 looks longest for fast engines (default: TensorRT's)"
    parser.add_argument("--optimization-level", type=integer(0, 5), metavar="N", help=help_text)
    help_text = "keep measured times in this file from build to build; not with TensorRT for RTX"
    parser.add_argument("--timing-cache", type=Path, metavar="FILE", help=help_text)
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder of the engines (default: 'engines' in the bundle, where the runtime looks)")
    parser.add_argument("--force", action="store_true", help="also build engines that are there already")
    parser.add_argument("--dry-run", action="store_true", help="let TensorRT read the graphs, say what would be built, and build nothing")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Build every engine and print a table."""
    from redvillm.export.engine_bundle import EngineRequest, engine_tasks
    from redvillm.export.engine_terminal import run_tasks

    if arguments.force and arguments.dry_run:
        raise OptionsError("--dry-run builds nothing, so there is nothing to --force; leave one of them out")
    request = EngineRequest(
        bundle=arguments.bundle,
        graphs=arguments.graphs,
        frames=arguments.frames,
        pooling=arguments.pooling,
        flavour=arguments.flavour,
        architectures=arguments.architectures,
        workspace_mib=arguments.workspace_mib,
        optimization_level=arguments.optimization_level,
        timing_cache=arguments.timing_cache,
        out=arguments.out,
    )
    return run_tasks(engine_tasks(request), existing="check" if arguments.dry_run else "replace" if arguments.force else "keep")


def _frames(text: str) -> "FrameProfile":
    from redvillm.engine_key import FrameProfile

    try:
        smallest, usual, largest = (int(part) for part in text.split(":"))
        return FrameProfile(smallest, usual, largest)
    except ValueError as error:  # OptionsError is a ValueError
        words = str(error) if isinstance(error, OptionsError) else "three whole numbers are wanted"
        raise argparse.ArgumentTypeError(f"{text!r:.40} is no range of frames ({words}); write for example 1:8:16") from None


def _architectures(text: str) -> tuple[str, ...]:
    from redvillm.engine_key import check_architectures

    names = tuple(sorted((part.strip().upper() for part in text.split(",")), key=lambda name: (len(name), name)))
    try:
        check_architectures(names)
    except OptionsError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return names


def _graphs(text: str) -> tuple[str, ...]:
    names = tuple(part.strip() for part in text.split(","))
    if unknown := [name for name in names if name not in _GRAPHS]:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r:.40} is no graph of an engine; legal are {', '.join(_GRAPHS)}")
    return names
