"""Checkpoints of a training run: everything that is needed to go on as if nothing had happened.

Knows tensors and files; does not know what they train.
"""

from dataclasses import dataclass, field
from pathlib import Path

import torch

from redvillm.errors import OptionsError
from redvillm.export.adapter import Adapter
from redvillm.files import atomic_file


@dataclass
class Progress:
    """How far a run is: steps done, seconds spent, and the losses so far."""

    step: int = 0
    elapsed_s: float = 0.0
    losses: list[float] = field(default_factory=list)


def save_checkpoint(path: Path, adapter: Adapter, optimizer: torch.optim.Optimizer, progress: Progress) -> None:
    """Write a checkpoint atomically."""
    state = {"adapter": adapter.state_dict(), "optimizer": optimizer.state_dict(), "progress": vars(progress)}
    with atomic_file(path) as temporary:
        torch.save(state, temporary)


def load_checkpoint(path: Path, adapter: Adapter, optimizer: torch.optim.Optimizer) -> Progress:
    """Restore adapter and optimizer; return the progress, which is empty when there is no checkpoint.

    Raises:
        OptionsError: the checkpoint belongs to another model.
    """
    if not path.exists():
        return Progress()
    state = torch.load(path, map_location="cpu", weights_only=True)
    try:
        adapter.load_state_dict(state["adapter"])
        optimizer.load_state_dict(state["optimizer"])
        return Progress(**state["progress"])
    except (KeyError, RuntimeError, ValueError, TypeError) as error:
        raise OptionsError(f"{path} belongs to another model ({error}); choose another run folder") from error
