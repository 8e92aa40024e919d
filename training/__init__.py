"""RED-VILLM's recipe for the alignment and the temporal alignment: `python -m redvillm.training --help`."""
