"""`redvillm export`."""

import argparse
import sys
from pathlib import Path

from redvillm.cli.options import Commands
from redvillm.manifest import TARGETS, VISION_PRECISIONS


def add_parser(commands: "Commands[argparse.ArgumentParser]", common: argparse.ArgumentParser) -> None:
    """Define the command."""
    parser = commands.add_parser(
        "export",
        parents=[common],
        help="turn fetched weights into a bundle that the runtime loads",
        description="Turn fetched weights into a bundle: graphs, tokenizer and manifest. Every stage is checked against its reference.",
    )
    parser.add_argument("name", metavar="NAME", help="a model that 'redvillm models' lists")
    parser.add_argument("--target", choices=TARGETS, default="cpu", help="what the bundle is for (default: %(default)s)")
    parser.add_argument("--vision", choices=VISION_PRECISIONS, default="int8", help="precision of the vision encoder (default: %(default)s)")
    help_text = "an adapter that 'redvillm train' wrote, instead of the model's own"
    parser.add_argument("--adapter", type=Path, metavar="FILE", help=help_text)
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder of the bundle (default: in the cache, where 'redvillm ask' finds it)")
    parser.add_argument("--force", action="store_true", help="replace a bundle that is there already")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Export and print the folder of the bundle."""
    from redvillm.export import export_bundle
    from redvillm.zoo import bundle_folder

    out = arguments.out or bundle_folder(arguments.name, arguments.target)
    choices = {"target": arguments.target, "vision": arguments.vision, "adapter": arguments.adapter, "force": arguments.force}
    export_bundle(arguments.name, out, **choices, progress=_show)
    print(out)
    return 0


def _show(step: str) -> None:
    print(step, file=sys.stderr, flush=True)
