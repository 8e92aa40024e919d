"""Fetching weights and clips into the cache: verified, atomic, reused.

`fetch` takes a name of the zoo, a local checkpoint folder or `hf:organisation/name`; it never installs a package and never runs what it fetched.
"""

from redvillm.fetch.fetched import Fetched
from redvillm.fetch.fetcher import fetch, fetch_file, resolve_clip

__all__ = ["Fetched", "fetch", "fetch_file", "resolve_clip"]
