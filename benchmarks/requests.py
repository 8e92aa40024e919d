"""What is to be measured. Knows plain values only."""

from dataclasses import dataclass
from pathlib import Path

from redvillm.errors import OptionsError

PEERS = ("transformers",)


@dataclass(frozen=True, kw_only=True)
class BenchRequest:
    """One benchmark: `runs` measured answers about `clip` after `warmup` unmeasured ones, for redvillm and for each peer in turn."""

    bundle: str
    clip: str
    question: str
    num_frames: int | None
    max_new_tokens: int
    runs: int
    warmup: int
    threads: int | None
    target: str = "cpu"
    peers: tuple[str, ...] = ()
    out: Path | None = None

    def __post_init__(self) -> None:
        if self.runs < 1 or self.warmup < 0:
            raise OptionsError(f"runs is {self.runs} and warmup {self.warmup}; at least 1 and 0 are wanted")
        if self.max_new_tokens < 2:
            raise OptionsError(f"max_new_tokens is {self.max_new_tokens}; at least 2 are needed to time one token after another")
        if unknown := set(self.peers) - set(PEERS):
            raise OptionsError(f"there is no peer {sorted(unknown)[0]!r}; the peers are {', '.join(PEERS)}")
