"""Options of a training run. Knows numbers and paths only."""

from dataclasses import dataclass
from pathlib import Path

from redvillm.errors import OptionsError

_COUNTS = (
    "warm_start_steps", "caption_steps", "question_steps", "batch_size", "micro_batch_size", "max_frames", "max_questions", "held_out_every",
    "held_out_clips", "threads",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """What a run reads, where it is kept, and how long each stage takes.

    Attributes:
        questions: files of questions about videos (docs/training.md).
        captions: files of captioned images.
        held_out: a file of questions that are measured on the way, or None.
        run: folder for features, checkpoints and reports.
        vision_checkpoint: EfficientNet-Lite0 (.pth), or a folder of transformers.
        language_checkpoint: an LLM of the Llama architecture (.gguf), or a folder of transformers.
        start_from: an adapter to go on from instead of a warm start, or None.
        start_share: of `start_from` in the result, see averaging.py; None keeps what was trained as it is.
        emphasis: kinds of questions whose clips are half of all that are taken, the other half chosen by seed; None takes all clips.
        warm_start_steps: batches of each warm start, without the LLM.
        caption_steps: steps on descriptions only, LLM frozen.
        question_steps: steps on all questions.
        batch_size: clips a step; micro_batch_size of them go through the LLM at once.
        learning_rate: highest one of the adapter; language_learning_rate that of factors of rows and norms in the LLM, minimum_learning_rate that
            of shifts of block minimums.
        tune_language: train factors of rows and norms of the LLM; tune_minimums: shifts of block minimums too.
        max_frames: longest clip; longer ones are thinned.
        max_questions: most questions about one clip in one step.
        held_out_every: steps between two measurements on at most held_out_clips clips.
    """

    questions: tuple[Path, ...]
    run: Path
    vision_checkpoint: Path
    language_checkpoint: Path
    captions: tuple[Path, ...] = ()
    held_out: Path | None = None
    start_from: Path | None = None
    start_share: float | None = None
    emphasis: tuple[str, ...] | None = None
    warm_start_steps: int = 400
    caption_steps: int = 300
    question_steps: int = 1850
    batch_size: int = 8
    micro_batch_size: int = 4
    learning_rate: float = 1e-3
    language_learning_rate: float = 4e-3
    minimum_learning_rate: float = 3e-4
    min_learning_share: float = 0.02
    tune_language: bool = True
    tune_minimums: bool = True
    max_frames: int = 16
    max_questions: int = 8
    held_out_every: int = 500
    held_out_clips: int = 300
    checkpoint_every_s: float = 120.0
    threads: int = 2
    seed: int = 0

    def __post_init__(self) -> None:
        for name in _COUNTS:
            if getattr(self, name) < 1:
                raise OptionsError(f"{name} is {getattr(self, name)}; a positive number is wanted")
        if not self.questions and not self.captions:
            raise OptionsError("there is nothing to learn: give a file of questions or of captions")
        for name in ("learning_rate", "language_learning_rate", "minimum_learning_rate", "min_learning_share"):
            if not 0 < getattr(self, name) <= 1:
                raise OptionsError(f"{name} is {getattr(self, name)}; it must be above 0 and at most 1")
        if self.start_share is not None and (self.start_from is None or not 0 < self.start_share < 1):
            raise OptionsError(f"start_share is {self.start_share}; it is above 0 and below 1, and goes with an adapter to start from")
        if self.tune_minimums and not self.tune_language:
            raise OptionsError("tune_minimums is a part of tune_language; switch both on, or both off")
        for path in (*self.questions, *self.captions, self.held_out, self.start_from):
            if path is not None and not path.is_file():
                raise OptionsError(f"{path} does not exist, or is not a file")
        for path in (self.vision_checkpoint, self.language_checkpoint):
            if not (path.is_file() or path.is_dir()):
                raise OptionsError(f"{path} does not exist, or is neither a file nor a folder")

    @property
    def total_steps(self) -> int:
        """Steps through the LLM."""
        return self.caption_steps + self.question_steps
