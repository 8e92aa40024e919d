"""`redvillm version` and `redvillm --version`."""

import argparse
from typing import Any

from redvillm.cli.options import Commands


def add_parser(commands: "Commands[argparse.ArgumentParser]", common: argparse.ArgumentParser) -> None:
    """Define the command."""
    parser = commands.add_parser("version", parents=[common], help="print the version", description="Print the version.")
    parser.set_defaults(run=run)


class ShowVersion(argparse.Action):
    """`--version`: print the version and end."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option_string: str | None = None) -> None:
        """Do what the command does."""
        del values, option_string
        parser.exit(run(namespace))


def run(arguments: argparse.Namespace) -> int:
    """Print name and version."""
    import importlib.metadata

    del arguments
    print(f"redvillm {importlib.metadata.version('redvillm')}")
    return 0
