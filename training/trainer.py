"""Training of the adapter through the frozen LLM.

Knows batches, losses and checkpoints; does not know how samples or features are made.
"""

import math
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import torch
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as ProgressBar

from redvillm.prompt import Prompt
from redvillm.training.checkpoint import Progress, load_checkpoint, save_checkpoint
from redvillm.training.options import TrainingOptions
from redvillm.training.packing import pack
from redvillm.training.samples import Sample, Sampler
from redvillm.training.video_llm import VideoLLM, num_visual_tokens, row_losses

_MAX_GRADIENT_NORM = 1.0
_WARM_UP_STEPS = 50


def train_adapter(model: VideoLLM, sampler: Sampler, prompt: Prompt, stop_token_id: int, options: TrainingOptions) -> Progress:
    """Train to `options.train_steps`, going on from `checkpoint.pt` of the run; return the progress with all losses."""
    path = options.run / "checkpoint.pt"
    parameters = list(model.adapter.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=options.learning_rate, betas=(0.9, 0.98), weight_decay=0.01)
    progress = load_checkpoint(path, model.adapter, optimizer)
    samples = islice(iter(sampler), progress.step * options.batch_size, None)
    with _bar() as bar:
        task = bar.add_task("training", total=options.train_steps, completed=progress.step, loss="")
        last_saved = started = time.monotonic()
        for step in range(progress.step, options.train_steps):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate_at(step, options)
            loss = _step(model, optimizer, _micro_batches(samples, options), prompt, stop_token_id)
            progress.losses.append(loss)
            progress.step = step + 1
            now = time.monotonic()
            bar.update(task, completed=progress.step, loss=f"loss {_recent(progress.losses):.3f}")
            if now - last_saved > options.checkpoint_every_s or progress.step == options.train_steps:
                progress.elapsed_s += now - started
                started = last_saved = now
                save_checkpoint(path, model.adapter, optimizer, progress)
                _log(options.run / "log.tsv", progress)
    return progress


def learning_rate_at(step: int, options: TrainingOptions) -> float:
    """Linear warm-up, then a cosine down to the minimum."""
    if step < _WARM_UP_STEPS:
        return options.learning_rate * (step + 1) / _WARM_UP_STEPS
    share = (step - _WARM_UP_STEPS) / max(options.train_steps - _WARM_UP_STEPS, 1)
    return options.min_learning_rate + (options.learning_rate - options.min_learning_rate) * (1 + math.cos(math.pi * share)) / 2


def _step(model: VideoLLM, optimizer: torch.optim.Optimizer, micro_batches: list[list[Sample]], prompt: Prompt, stop_token_id: int) -> float:
    """One optimizer step on the gradient of all micro-batches: small ones stay in the processor's caches."""
    num_motion = model.adapter.options.num_motion_tokens
    packed = [
        pack(samples, [num_visual_tokens(sample.features, num_motion) for sample in samples], prompt, stop_token_id) for samples in micro_batches
    ]
    total_weight = sum(float(batch.weights.sum()) for batch in packed)
    total_loss = 0.0
    optimizer.zero_grad()
    for samples, batch in zip(micro_batches, packed, strict=True):
        losses = row_losses(model([model.visual_tokens(sample.features) for sample in samples], batch), batch)
        loss = (losses * batch.weights).sum() / total_weight
        torch.autograd.backward([loss])
        total_loss += float(loss.detach())
    torch.nn.utils.clip_grad_norm_(model.adapter.parameters(), _MAX_GRADIENT_NORM)
    optimizer.step()
    return total_loss


def _micro_batches(samples: Iterator[Sample], options: TrainingOptions) -> list[list[Sample]]:
    batch = list(islice(samples, options.batch_size))
    return [batch[start : start + options.micro_batch_size] for start in range(0, len(batch), options.micro_batch_size)]


def _recent(losses: list[float]) -> float:
    tail = losses[-50:]
    return sum(tail) / len(tail)


def _log(path: Path, progress: Progress) -> None:
    with path.open("a", encoding="utf-8") as stream:
        stream.write(f"{progress.step}\t{progress.elapsed_s:.0f}\t{_recent(progress.losses):.4f}\n")


def _bar() -> ProgressBar:
    return ProgressBar(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[loss]}"), TimeRemainingColumn())
