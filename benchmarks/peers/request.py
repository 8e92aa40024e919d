"""What is to be compared. Knows plain values only."""

from dataclasses import dataclass
from pathlib import Path

from redvillm.benchmarks.peers.catalogue import PEERS
from redvillm.errors import OptionsError

PARTS = ("language", "vision", "whole")


@dataclass(frozen=True, kw_only=True)
class PeersRequest:
    """One comparison.

    Attributes:
        bundle: name or folder of redvillm's bundle; the peers get the weights that it was exported from.
        parts: of PARTS, in the order of the report.
        peers: names of the catalogue to measure beside redvillm; empty takes all.
        rounds: measured rounds; in each round every engine has one turn.
        warmup: rounds before them.
        threads: of every engine.
        context_tokens: length of the context.
        question_tokens: length of the question behind it.
        num_new_tokens: decoded after the context.
        clip: for the part `whole`, and its frames for `vision`.
        environments: folder of environments that are used as they are; None installs them into `folder`.
        folder: for environments and converted weights.
        lock: a file that is locked during each round, on a machine that others use too.
        out: folder for peers.md, peers.png and peers.json; None writes nothing.
    """

    bundle: str
    clip: str
    folder: Path
    parts: tuple[str, ...] = PARTS
    peers: tuple[str, ...] = ()
    rounds: int = 5
    warmup: int = 1
    threads: int
    context_tokens: int = 400
    question_tokens: int = 20
    num_new_tokens: int = 64
    environments: Path | None = None
    lock: Path | None = None
    out: Path | None = None

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            OptionsError: a value outside its legal ones.
        """
        for name, smallest in (("rounds", 1), ("warmup", 0), ("threads", 1), ("context_tokens", 1), ("question_tokens", 1), ("num_new_tokens", 2)):
            if getattr(self, name) < smallest:
                raise OptionsError(f"{name} is {getattr(self, name)}; at least {smallest} is wanted")
        if unknown := set(self.parts) - set(PARTS):
            raise OptionsError(f"there is no part {sorted(unknown)[0]!r}; the parts are {', '.join(PARTS)}")
        names = {peer.name for peer in PEERS}
        if unknown := set(self.peers) - names:
            raise OptionsError(f"there is no peer {sorted(unknown)[0]!r}; the peers are {', '.join(sorted(names))}")
