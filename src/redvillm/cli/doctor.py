"""`redvillm doctor`."""

import argparse

from redvillm.cli.options import Commands, add_json


def add_parser(commands: "Commands[argparse.ArgumentParser]", common: argparse.ArgumentParser) -> None:
    """Define the command."""
    parser = commands.add_parser(
        "doctor",
        parents=[common],
        help="say what works on this machine and how to repair what does not",
        description="Look at versions, providers, cameras, cache and disk by really trying them. Exit status 0 if videos can be asked about here.",
    )
    add_json(parser, "print one JSON object instead of a table")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the report."""
    from redvillm.doctor import run_doctor

    return run_doctor(as_json=arguments.as_json)
