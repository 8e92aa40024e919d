"""`redvillm version`."""

import argparse

from redvillm.cli.options import Commands


def add_parser(commands: "Commands[argparse.ArgumentParser]", common: argparse.ArgumentParser) -> None:
    """Define the command."""
    parser = commands.add_parser("version", parents=[common], help="print the version", description="Print the version.")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print name and version."""
    import importlib.metadata

    del arguments
    print(f"redvillm {importlib.metadata.version('redvillm')}")
    return 0
