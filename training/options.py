"""Options of a training run. Knows numbers and folders only."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from redvillm.errors import OptionsError


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """Where the data lies, where the run is kept, and how long each stage takes.

    `data` holds flickr8k/ (images/, captions.tsv) and caltech101/<class>/; `run` receives features, checkpoints and reports.
    """

    data: Path
    run: Path
    vision_checkpoint: Path
    language_checkpoint: Path
    warm_start_steps: int = 300
    train_steps: int = 850
    batch_size: int = 8
    micro_batch_size: int = 4
    learning_rate: float = 1e-3
    min_learning_rate: float = 2e-5
    checkpoint_every_s: float = 120.0
    threads: int = 2
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("warm_start_steps", "train_steps", "batch_size", "micro_batch_size", "threads"):
            if getattr(self, name) < 1:
                raise OptionsError(f"{name} is {getattr(self, name)}; a positive number is wanted")
        if not 0 < self.min_learning_rate <= self.learning_rate <= 1:
            raise OptionsError("learning rates must satisfy 0 < min_learning_rate <= learning_rate <= 1")
        for field in dataclasses.fields(self):
            if field.type is Path and field.name != "run" and not getattr(self, field.name).exists():
                raise OptionsError(f"{field.name}: {getattr(self, field.name)} does not exist")
