"""`redvillm models`."""

import argparse

from redvillm.cli.options import Commands, add_json


def add_parser(commands: "Commands[argparse.ArgumentParser]", common: argparse.ArgumentParser) -> None:
    """Define the command."""
    help_text = "list the models, weights and sample clips of the zoo, and which are on this machine"
    parser = commands.add_parser("models", parents=[common], help=help_text, description=help_text.capitalize() + ".")
    add_json(parser, "print one JSON object instead of a table")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the list."""
    from redvillm.catalogue import print_catalogue

    return print_catalogue(as_json=arguments.as_json)
