"""What is written down during a live run: one record per answer, one sample per second. Knows plain values only."""

from dataclasses import dataclass

# Milliseconds of one answer in the order of the report: key, name.
LATENCIES = (
    ("frame_to_first_token_ms", "newest frame to first token"),
    ("frame_to_last_token_ms", "newest frame to last token"),
    ("age_newest_ms", "age of evidence, newest frame"),
    ("age_confirmed_ms", "age of evidence, confirmed"),
    ("ttft_ms", "TTFT, from asking"),
    ("queue_ms", "  waiting for its turn"),
    ("align_ms", "  alignment"),
    ("prefill_ms", "  visual prefix"),
    ("first_token_ms", "  question to first token"),
    ("total_ms", "asking to last token"),
    ("per_token_ms", "per token (TPOT)"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerRecord:
    """One answer, or why there is none.

    Attributes:
        variant: index of the variant.
        segment: counted over all variants.
        time_s: when it was asked, from the start of the run.
        is_warmup: asked during the warm-up of its segment: not counted.
        error: what made it fail; None when it is complete.
        latencies_ms: by the keys of LATENCIES; a key that does not apply is absent.
        prefix_reused: whether its visual prefix was in the cache.
        num_visual_tokens: visual tokens of its prompt.
        num_new_tokens: tokens of the answer.
    """

    variant: int
    segment: int
    time_s: float
    is_warmup: bool
    error: str | None = None
    latencies_ms: dict[str, float]
    prefix_reused: bool = False
    num_visual_tokens: int = 0
    num_new_tokens: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The process and the stream at one moment; counts are sums since the stream of the segment was opened.

    `cpu_s` are processor seconds of the whole process since it began, the benchmark's own included; `all_cpu_s` those of the whole machine.
    """

    variant: int
    segment: int
    time_s: float
    is_warmup: bool
    rss_mb: float
    cpu_s: float
    all_cpu_s: float
    num_threads: int
    num_descriptors: int
    captured: int
    used: int
    drops: dict[str, int]


@dataclass(frozen=True, slots=True)
class LiveRecord:
    """All that a run has written down; `notes` say in words what a reader should know of it."""

    answers: tuple[AnswerRecord, ...]
    samples: tuple[Sample, ...]
    notes: tuple[str, ...] = ()
