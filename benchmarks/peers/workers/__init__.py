"""Scripts that run in a peer's environment: they are started by their paths and never imported from here."""
