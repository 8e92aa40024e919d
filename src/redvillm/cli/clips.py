"""Clip arguments: `sample:NAME` to the path of a fetched clip, anything else as it is."""

from redvillm.zoo import CLIP_PREFIX


def local_clip(argument: str) -> str:
    """Return what the runtime opens, fetching a sample clip with its progress shown."""
    if not argument.startswith(CLIP_PREFIX):
        return argument
    from redvillm.fetch import resolve_clip
    from redvillm.fetch.progress import terminal_progress

    with terminal_progress() as progress:
        return resolve_clip(argument, progress=progress)
