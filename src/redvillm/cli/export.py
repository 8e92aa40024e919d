"""`redvillm export`."""

import argparse
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from redvillm.cli.options import Commands
from redvillm.cli.values import integer
from redvillm.errors import OptionsError
from redvillm.manifest import TARGETS, VISION_PRECISIONS

if TYPE_CHECKING:
    from redvillm.export.checkpoint_plan import CheckpointOptions

_DECODER_PRECISIONS = ("int4", "int4-symmetric", "int8", "fp16")
_CHECKPOINT_ONLY = ("llm", "frames", "context", "frame_size", "licence")


def add_parser(commands: "Commands[argparse.ArgumentParser]", common: argparse.ArgumentParser) -> None:
    """Define the command."""
    parser = commands.add_parser(
        "export",
        parents=[common],
        help="turn weights into a bundle that the runtime loads",
        description="Turn weights into a bundle: graphs, tokenizer and manifest. Every stage is checked against its reference.",
    )
    parser.add_argument(
        "name", metavar="NAME|CHECKPOINT", help="a model that 'redvillm models' lists, the folder of a checkpoint, or a name on the hub"
    )
    parser.add_argument("--target", choices=TARGETS, default="cpu", help="what the bundle is for (default: %(default)s)")
    help_text = "precision of the vision encoder (default: int8 for cpu, fp16 for cuda and tensorrt)"
    parser.add_argument("--vision", choices=VISION_PRECISIONS, help=help_text)
    help_text = "images, a video, or a folder of images that --vision int8 is fitted to, such as frames of your camera; may be repeated"
    parser.add_argument("--calibration", type=Path, action="append", default=[], metavar="FILE", help=help_text)
    parser.add_argument("--adapter", type=Path, metavar="FILE", help="an adapter that 'redvillm train' wrote, instead of the model's own")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder of the bundle (default of NAME: in the cache, where 'redvillm ask' finds it)")
    parser.add_argument("--force", action="store_true", help="replace a bundle that is there already")
    group = parser.add_argument_group("checkpoints")
    group.add_argument("--llm", choices=_DECODER_PRECISIONS, help="precision of the LLM (default: int4)")
    group.add_argument("--frames", type=integer(1, 1024), metavar="N", help="longest window (default: 16)")
    group.add_argument(
        "--context", type=integer(64, 1 << 20), metavar="TOKENS", help="longest prompt and answer (default: 2048, or what the LLM has)"
    )
    group.add_argument("--frame-size", type=_frame_size, metavar="HxW", help="size of frames, for encoders that take any (default: 448x448)")
    group.add_argument("--licence", metavar="TEXT", help="of the weights, for the manifest")
    group.add_argument("--check", action="store_true", help="only say what would fail, and why")
    group.add_argument("--dry-run", action="store_true", help="only say how large the bundle would be, for each precision")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Export and print the folder of the bundle; or only look, and return 1 if something would fail."""
    from redvillm import zoo
    from redvillm.export.targets import choose_vision

    calibration = tuple(arguments.calibration)
    arguments.vision = choose_vision(arguments.target, arguments.vision, calibration).precision  # refused before anything heavy is imported
    is_model = arguments.name in {model.name for model in zoo.MODELS}  # also where a folder has that name, a bundle for example
    if is_model or ("/" not in arguments.name and not Path(arguments.name).exists()):
        zoo.model_named(arguments.name)
        return _export_model(arguments)
    if arguments.adapter is not None:
        raise OptionsError(f"--adapter belongs to models of the zoo, {arguments.name} is none; leave it out")
    if arguments.check or arguments.dry_run:
        return _look(arguments)
    if arguments.out is None:
        raise OptionsError("say with --out where the bundle of a checkpoint goes")
    from redvillm.export.bundle import export_checkpoint

    choices = {"target": arguments.target, "vision": arguments.vision, "calibration": calibration, "force": arguments.force}
    export_checkpoint(arguments.name, arguments.out, _checkpoint_options(arguments), **choices, progress=_show)
    print(arguments.out)
    return 0


def _export_model(arguments: argparse.Namespace) -> int:
    given = [name for name in _CHECKPOINT_ONLY if getattr(arguments, name) is not None]
    given += [name for name in ("check", "dry_run") if getattr(arguments, name)]
    if given:
        raise OptionsError(f"--{given[0].replace('_', '-')} belongs to checkpoints, {arguments.name} is a model of the zoo; leave it out")
    from redvillm.export import export_bundle
    from redvillm.zoo import bundle_folder

    out = arguments.out or bundle_folder(arguments.name, arguments.target)
    choices = {"target": arguments.target, "vision": arguments.vision, "adapter": arguments.adapter, "force": arguments.force}
    export_bundle(arguments.name, out, **choices, calibration=tuple(arguments.calibration), progress=_show)
    print(out)
    return 0


def _look(arguments: argparse.Namespace) -> int:
    from redvillm.export.check import CheckpointCheck

    check = CheckpointCheck(
        arguments.name, _checkpoint_options(arguments), target=arguments.target, vision=arguments.vision, out=arguments.out or Path("bundle")
    )
    findings = list(check.findings())
    if arguments.check or not all(finding.passed for finding in findings):
        for finding in findings:
            print(f"{'ok  ' if finding.passed else 'FAIL'}  {finding.name}: {finding.words}")
    if arguments.dry_run and not (sizes := check.bundle_sizes()):
        print("no sizes are estimated for a model that cannot be read")
    elif arguments.dry_run:
        print(f"{'LLM':16}{'vision':8}{'bundle':>10}   features of a small encoder   perplexity of a small LLM")
        for size in sizes:
            change = "as it came" if size.perplexity_change is None else f"{100 * size.perplexity_change:+.2f} %"
            print(f"{size.decoder:16}{size.vision:8}{size.size_bytes / 1e6:>7.0f} MB   {f'cosine {size.feature_cosine:g}':27}   {change}")
    return 0 if all(finding.passed for finding in findings) else 1


def _checkpoint_options(arguments: argparse.Namespace) -> "CheckpointOptions":
    from redvillm.export.checkpoint_plan import CheckpointOptions
    from redvillm.export.image_llm import TakeOptions

    height, width = arguments.frame_size or (None, None)
    chosen = {"decoder": arguments.llm, "max_frames": arguments.frames, "max_context_tokens": arguments.context, "licence": arguments.licence}
    given = {name: value for name, value in chosen.items() if value is not None}
    return CheckpointOptions(take=TakeOptions(frame_height=height, frame_width=width), **given)


def _frame_size(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"([1-9]\d{0,3})x([1-9]\d{0,3})", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no size; give height and width in pixels, such as 448x448")
    return int(found[1]), int(found[2])


def _show(step: str) -> None:
    print(step, file=sys.stderr, flush=True)
