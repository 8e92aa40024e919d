"""Checkpoints of a training run: everything that is needed to go on as if nothing had happened.

Knows tensors and files; does not know what they train.
"""

from dataclasses import dataclass, field
from pathlib import Path

import torch

from redvillm.errors import OptionsError
from redvillm.files import atomic_file
from redvillm.training.video_llm import VideoLLM


@dataclass
class Progress:
    """How far a run is: steps done, seconds spent, the losses so far, and held-out figures as (step, kind -> right share, loss, count)."""

    step: int = 0
    elapsed_s: float = 0.0
    losses: list[float] = field(default_factory=list)
    held_out: list[tuple[int, dict[str, list[float]]]] = field(default_factory=list)


def save_checkpoint(path: Path, model: VideoLLM, optimizer: torch.optim.Optimizer, progress: Progress) -> None:
    """Write a checkpoint atomically."""
    language = {} if model.language is None else {name: value.detach() for name, value in model.language.parameters().items()}
    state = {"adapter": model.adapter.state_dict(), "language": language, "optimizer": optimizer.state_dict(), "progress": vars(progress)}
    with atomic_file(path) as temporary:
        torch.save(state, temporary)


def load_checkpoint(path: Path, model: VideoLLM, optimizer: torch.optim.Optimizer) -> Progress:
    """Restore model and optimizer; return the progress, which is empty when there is no checkpoint.

    Raises:
        OptionsError: the checkpoint belongs to another model.
    """
    if not path.exists():
        return Progress()
    state = torch.load(path, map_location="cpu", weights_only=True)
    try:
        model.adapter.load_state_dict(state["adapter"])
        parameters = {} if model.language is None else model.language.parameters()
        if parameters.keys() != state["language"].keys():
            raise KeyError("other parts of the LLM are trained")
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter.copy_(state["language"][name])
        optimizer.load_state_dict(state["optimizer"])
        return Progress(**state["progress"])
    except (KeyError, RuntimeError, ValueError, TypeError) as error:
        raise OptionsError(f"{path} belongs to another model ({error}); choose another run folder") from error
