"""Training through the LLM: first on captions with the LLM frozen, then on all questions with its trained parts.

Knows batches, losses and checkpoints; does not know how samples or features are made.
"""

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as ProgressBar

from redvillm.prompt import Prompt
from redvillm.training.checkpoint import Progress, load_checkpoint, save_checkpoint
from redvillm.training.held_out import held_out_scores
from redvillm.training.options import TrainingOptions
from redvillm.training.packing import pack
from redvillm.training.samples import Sample, Sampler
from redvillm.training.video_llm import VideoLLM, num_visual_tokens, row_losses

_MAX_GRADIENT_NORM = 1.0
_WARM_UP_STEPS = 50


class Trainer:
    """One run: a model, its optimizer, and how far it is."""

    def __init__(self, model: VideoLLM, prompt: Prompt, stop_token_id: int, options: TrainingOptions) -> None:
        """Go on from `checkpoint.pt` of the run, if there is one.

        Raises:
            OptionsError: the checkpoint belongs to another model.
        """
        self._model, self._prompt, self._stop_token_id, self._options = model, prompt, stop_token_id, options
        self._path = options.run / "checkpoint.pt"
        self._groups = _parameter_groups(model, options)
        self._optimizer = torch.optim.AdamW(self._groups, betas=(0.9, 0.98))
        self.progress = load_checkpoint(self._path, model, self._optimizer)

    def train(self, captions: Sampler, questions: Sampler, held_out: Sequence[Sample]) -> Progress:
        """Train to the end; return the progress with all losses."""
        options, progress = self._options, self.progress
        with _bar() as bar:
            task = bar.add_task("training", total=options.total_steps, completed=progress.step, loss=_recent(progress.losses))
            last_saved_s = time.monotonic()
            for step in range(progress.step, options.total_steps):
                on_captions = step < options.caption_steps
                sampler = captions if on_captions else questions
                numbers = range(step * options.batch_size, (step + 1) * options.batch_size)
                progress.losses.append(self._step(step, [sampler.sample(number) for number in numbers], tune_language=not on_captions))
                progress.step = step + 1
                done = progress.step == options.total_steps
                if held_out and (done or progress.step % options.held_out_every == 0):
                    progress.held_out.append((progress.step, self._measure(held_out)))
                bar.update(task, completed=progress.step, loss=_recent(progress.losses))
                now = time.monotonic()
                if done or now - last_saved_s > options.checkpoint_every_s:
                    progress.elapsed_s += now - last_saved_s
                    last_saved_s = now
                    save_checkpoint(self._path, self._model, self._optimizer, progress)
                    _log(options.run / "log.tsv", progress)
        return progress

    def _step(self, step: int, samples: Sequence[Sample], *, tune_language: bool) -> float:
        """One optimizer step on the gradient of all micro-batches: small ones stay in the processor's caches."""
        for group in self._optimizer.param_groups:
            group["lr"] = group["peak"] * learning_share_at(step, self._options)
        self._model.train_language(tune_language)
        num_motion, size = self._model.adapter.options.num_motion_tokens, self._options.micro_batch_size
        by_length = sorted(samples, key=_length)  # samples of a micro-batch are padded to the longest of them
        micro_batches = [by_length[start : start + size] for start in range(0, len(samples), size)]
        counts = [[num_visual_tokens(sample.features, num_motion) for sample in batch] for batch in micro_batches]
        packed = [pack(batch, sizes, self._prompt, self._stop_token_id) for batch, sizes in zip(micro_batches, counts, strict=True)]
        total_weight = sum(float(batch.weights.sum()) for batch in packed)
        total_loss = 0.0
        self._optimizer.zero_grad()
        for batch, tensors in zip(micro_batches, packed, strict=True):
            losses = row_losses(self._model([self._model.visual_tokens(sample.features) for sample in batch], tensors), tensors)
            loss = (losses * tensors.weights).sum() / total_weight
            torch.autograd.backward([loss])
            total_loss += float(loss.detach())
        torch.nn.utils.clip_grad_norm_([parameter for group in self._groups for parameter in group["params"]], _MAX_GRADIENT_NORM)
        self._optimizer.step()
        return total_loss

    def _measure(self, held_out: Sequence[Sample]) -> dict[str, list[float]]:
        scores = held_out_scores(self._model, held_out, self._prompt, self._stop_token_id)
        return {score.kind: [score.right_share, score.loss, float(score.count)] for score in scores}


def _length(sample: Sample) -> int:
    """About how many tokens beyond the spatial ones."""
    return len(sample.features) + sum(12 + (len(turn.question) + len(turn.answer)) // 4 for turn in sample.turns)


def learning_share_at(step: int, options: TrainingOptions) -> float:
    """Linear warm-up, then a cosine down to the smallest share."""
    if step < _WARM_UP_STEPS:
        return (step + 1) / _WARM_UP_STEPS
    place = (step - _WARM_UP_STEPS) / max(options.total_steps - _WARM_UP_STEPS, 1)
    return options.min_learning_share + (1 - options.min_learning_share) * (1 + math.cos(math.pi * place)) / 2


def _parameter_groups(model: VideoLLM, options: TrainingOptions) -> list[dict[str, Any]]:
    groups: list[dict[str, Any]] = [{"params": list(model.adapter.parameters()), "peak": options.learning_rate, "weight_decay": 0.01}]
    if model.language is not None:
        parameters = model.language.parameters()
        shifts = [parameter for name, parameter in parameters.items() if name.startswith("minimum_shifts")]
        others = [parameter for name, parameter in parameters.items() if not name.startswith("minimum_shifts")]
        peaks = ((others, options.language_learning_rate), (shifts, options.minimum_learning_rate))
        groups += [{"params": members, "peak": peak, "weight_decay": 0.0} for members, peak in peaks if members]
    return groups


def _bar() -> ProgressBar:
    return ProgressBar(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("loss {task.fields[loss]:.3f}"), TimeRemainingColumn()
    )


def _recent(losses: Sequence[float], count: int = 25) -> float:
    return sum(losses[-count:]) / max(len(losses[-count:]), 1)


def _log(path: Path, progress: Progress) -> None:
    with path.open("a", encoding="utf-8") as stream:
        stream.write(f"{progress.step}\t{progress.elapsed_s:.0f}\t{_recent(progress.losses):.4f}\n")
