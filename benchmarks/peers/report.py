"""The comparison as figures: medians over rounds, ratios to redvillm. Knows samples; does not know how they look."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from redvillm.benchmarks.bandwidth import Bandwidth
from redvillm.benchmarks.machine import Machine
from redvillm.benchmarks.peers.sampling import Sampled
from redvillm.benchmarks.report import Report
from redvillm.benchmarks.statistics import Summary, summarize


@dataclass(frozen=True)
class Column:
    """A measured quantity: its key in the records, its head in tables, digits after the point, and whether more is better."""

    key: str
    head: str
    digits: int
    more_is_better: bool


LANGUAGE = (
    Column("prefill_per_s", "prefill, tokens/s", 0, True),
    Column("decode_per_s", "decode, tokens/s", 0, True),
    Column("ttft_ms", "TTFT from scratch, ms", 0, False),
    Column("ttft_cached_ms", "TTFT on a cached prefix, ms", 1, False),
    Column("peak_memory_mb", "peak memory, MB", 0, False),
)
VISION = (Column("encode_ms", "one frame, ms", 1, False), Column("peak_memory_mb", "peak memory, MB", 0, False))


@dataclass(frozen=True, kw_only=True)
class PeerFigures:
    """One engine of one part.

    Attributes:
        name: of the engine.
        reason: why it has no figures; None when it has.
        precision, provider, versions: as the engine itself tells.
        weight_mb: of the files or tensors it reads, 10^6 bytes.
        figures: by key of LANGUAGE or VISION.
        bandwidth_share: weight bytes read per second while decoding, beside what the memory gives; 0 to 1, language only.
        agreement: language: leading tokens equal to those of the reference, 0 to 1; vision: cosine of the features. None without a reference.
    """

    name: str
    reason: str | None = None
    precision: str = ""
    provider: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    weight_mb: float = 0.0
    figures: dict[str, Summary] = field(default_factory=dict)
    bandwidth_share: float | None = None
    agreement: float | None = None

    def ratio_to(self, own: "PeerFigures", column: Column) -> float | None:
        """How many times better this engine's median is than that of `own`: below 1 it is worse."""
        if column.key not in self.figures or column.key not in own.figures:
            return None
        mine, theirs = self.figures[column.key].p50, own.figures[column.key].p50
        return mine / theirs if column.more_is_better else theirs / mine


@dataclass(frozen=True, kw_only=True)
class PeersReport:
    """The whole comparison; a part that was not asked for is empty."""

    machine: Machine
    threads: int
    rounds: int
    context_tokens: int
    question_tokens: int
    num_new_tokens: int
    bandwidth: Bandwidth
    language: tuple[PeerFigures, ...] = ()
    vision: tuple[PeerFigures, ...] = ()
    whole: Report | None = None
    whole_reason: str | None = None

    def to_json(self) -> str:
        """Return all figures as one line."""
        return json.dumps({"kind": "redvillm peers", **asdict(self)}, ensure_ascii=False)


def figures_of(sampled: Sampled, columns: Sequence[Column], *, bandwidth: Bandwidth | None, agreement: float | None) -> PeerFigures:
    """Return the figures of one engine; `bandwidth` is given where its weights are read once for every decoded token."""
    if sampled.reason is not None or not sampled.records:
        return PeerFigures(name=sampled.name, reason=sampled.reason or "it was not asked")
    about: dict[str, Any] = sampled.description
    figures = {column.key: summarize([record[column.key] for record in sampled.records]) for column in columns}
    figures["peak_memory_mb"] = summarize([sampled.records[-1]["peak_memory_mb"]])  # it only grows
    share = None
    if bandwidth is not None:
        share = about["weight_bytes"] * figures["decode_per_s"].p50 / bandwidth.bytes_per_s
    return PeerFigures(
        name=sampled.name,
        precision=about["precision"],
        provider=about["provider"],
        versions=about["versions"],
        weight_mb=about["weight_bytes"] / 1e6,
        figures=figures,
        bandwidth_share=share,
        agreement=agreement,
    )


def token_agreement(tokens: Sequence[Sequence[int]], reference: Sequence[Sequence[int]]) -> float:
    """Return the share of tokens, over all rounds, before the first that differs from the reference's of the same round."""
    equal = total = 0
    for found, wanted in zip(tokens, reference, strict=True):
        differing = (index for index, (one, other) in enumerate(zip(found, wanted, strict=False)) if one != other)
        equal += next(differing, min(len(found), len(wanted)))
        total += len(wanted)
    return equal / total if total else 0.0
