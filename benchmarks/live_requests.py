"""What is to be measured of the real-time path. Knows plain values only."""

from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from redvillm.benchmarks.arrivals import ARRIVALS, Arrivals
from redvillm.errors import OptionsError

SOAK_FROM_S = 600.0  # from this length on a run ends with a verdict
QUESTIONS = (
    "What is happening in the video?",
    "Is there a person?",
    "Where does this take place?",
    "What is moving?",
    "How many people are there?",
    "Is it indoors or outdoors?",
    "What colour stands out?",
    "Is anything dangerous going on?",
)


@dataclass(frozen=True)
class Variant:
    """One way to run the stream: a name, and the fields of StreamOptions that differ from the plain run."""

    name: str
    changes: MappingProxyType[str, Any] = field(default_factory=lambda: MappingProxyType({}))


_PLAIN = Variant("background prefill")
COMPARISONS = MappingProxyType(
    {
        "prefill": (_PLAIN, Variant("no background prefill", MappingProxyType({"prefill_in_background": False}))),
        "window": (Variant("rolling", MappingProxyType({"window": "rolling"})), Variant("memory", MappingProxyType({"window": "memory"}))),
        "gate": (Variant("gate", MappingProxyType({"gate": "duplicates"})), Variant("no gate", MappingProxyType({"gate": "none"}))),
    }
)


@dataclass(frozen=True, kw_only=True)
class LiveBenchRequest:
    """One run of `redvillm bench --stream`.

    Attributes:
        bundle: name or folder of the bundle.
        source: what `Model.open` takes as text.
        questions: asked in turn, from the first on again after the last.
        duration_s: measured time of each variant, warm-up excluded.
        warmup_s: at the beginning of every segment; what is asked then is answered and not counted.
        segment_s: longest measured time before the next variant has its turn; without `compare` there is one segment.
        every_s: mean interval of questions.
        arrivals: how the intervals are spread.
        seed: of the intervals; segment k of every variant uses seed + k.
        rate_hz: frames per second that may enter the window.
        max_evidence_age_s: a question answers from the window in the cache while its newest frame is at most so old.
        max_new_tokens: longest answer.
        threads: of the model; None uses what the machine has.
        window: the field of StreamOptions; likewise `gate` and `speed`. A comparison of one of them tries both of its values.
        compare: a key of COMPARISONS, or None for the plain run.
        soak: end with a verdict however short the run was.
        out: folder for report.html, plots and figures; None writes nothing.
        target: that the bundle was exported for.
    """

    bundle: str
    source: str
    questions: tuple[str, ...] = QUESTIONS
    duration_s: float = 60.0
    warmup_s: float = 5.0
    segment_s: float = 20.0
    every_s: float = 2.0
    arrivals: Arrivals = "poisson"
    seed: int = 0
    rate_hz: float = 8.0
    max_evidence_age_s: float = 1.0
    max_new_tokens: int = 32
    threads: int | None = None
    window: Literal["rolling", "memory"] = "rolling"
    gate: Literal["duplicates", "none"] = "duplicates"
    speed: Literal["own", "max"] = "own"
    compare: str | None = None
    soak: bool = False
    out: Path | None = None
    target: str = "cpu"

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            OptionsError: a value outside its range.
        """
        for name in ("duration_s", "segment_s", "every_s"):
            if not getattr(self, name) > 0:
                raise OptionsError(f"{name} is {getattr(self, name)!r}; give seconds, more than 0")
        if not self.warmup_s >= 0:
            raise OptionsError(f"warmup_s is {self.warmup_s!r}; give seconds from 0 on")
        if not self.questions or not all(question.strip() for question in self.questions):
            raise OptionsError("there is no question to ask, or an empty one; give a file with one question per line")
        if self.arrivals not in ARRIVALS:
            raise OptionsError(f"arrivals is {self.arrivals!r}; legal values are {', '.join(ARRIVALS)}")
        if self.compare is not None and self.compare not in COMPARISONS:
            raise OptionsError(f"compare is {self.compare!r}; legal values are {', '.join(COMPARISONS)}")
        if self.every_s > self.duration_s:
            raise OptionsError(f"a question every {self.every_s:g} s gives none in {self.duration_s:g} s; make the run longer")

    @property
    def variants(self) -> tuple[Variant, ...]:
        """The ways to run, in the order of their turns."""
        return (_PLAIN,) if self.compare is None else COMPARISONS[self.compare]

    @property
    def segments_per_variant(self) -> int:
        """How many segments the measured time of a variant is cut into: at least two when variants take turns."""
        return 1 if self.compare is None else max(2, round(self.duration_s / self.segment_s))

    @property
    def has_verdict(self) -> bool:
        """Whether the run ends with a verdict."""
        return self.soak or self.duration_s >= SOAK_FROM_S


def read_questions(path: Path) -> tuple[str, ...]:
    """Return the lines of a UTF-8 text file that are not blank.

    Raises:
        OptionsError: not a readable text file.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise OptionsError(f"the questions in {path} cannot be read ({error}); give a text file with one question per line") from error
    return tuple(line.strip() for line in lines if line.strip())
