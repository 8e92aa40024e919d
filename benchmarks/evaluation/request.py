"""What is to be evaluated. Knows plain values only."""

from dataclasses import dataclass
from pathlib import Path

from redvillm.benchmarks.evaluation.evaluator import CONDITIONS, Condition
from redvillm.errors import OptionsError


@dataclass(frozen=True, kw_only=True)
class EvaluationRequest:
    """One evaluation.

    Attributes:
        bundle: name or folder.
        questions: a file as `redvillm.question_set` reads it.
        conditions: in which videos are shown, of CONDITIONS.
        limit: ask so many questions at most, spread evenly over the file; None asks all.
        num_frames: of each video; None takes as many as the window holds.
        max_new_tokens: longest answer.
        threads: of the model; None chooses.
        seed: of the choice of wrong videos.
        torch_model: ask the torch model that `bundle`, a model of the zoo, is exported from; `adapter` is then an adapter file instead of its own.
        out: folder for evaluation.json, evaluation.md, evaluation.png and answers.jsonl; None writes nothing.
    """

    bundle: str
    questions: Path
    conditions: tuple[Condition, ...] = CONDITIONS
    limit: int | None = None
    num_frames: int | None = None
    max_new_tokens: int = 32
    threads: int | None = None
    seed: int = 0
    out: Path | None = None
    torch_model: bool = False
    adapter: Path | None = None

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            OptionsError: a value outside its legal ones.
        """
        if unknown := set(self.conditions) - set(CONDITIONS):
            raise OptionsError(f"there is no condition {sorted(unknown)[0]!r}; the conditions are {', '.join(CONDITIONS)}")
        if not self.conditions:
            raise OptionsError(f"no condition is given; choose from {', '.join(CONDITIONS)}")
        if self.adapter is not None and not self.torch_model:
            raise OptionsError("an adapter is asked with the torch model only; give --torch too, or export a bundle with 'redvillm export --adapter'")
        if self.limit is not None and self.limit < 1:
            raise OptionsError(f"limit is {self.limit}; at least one question is wanted, or None for all")
