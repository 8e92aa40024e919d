"""The whole recipe, stage by stage; each stage is skipped when its result is there.

Joins the parts; every part is described in its own file.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.progress import track
from torch import Tensor
from transformers import LlamaForCausalLM

from redvillm.evenly import even_places
from redvillm.export.adapter import Adapter, AdapterOptions, load_adapter, load_tuning, save_adapter
from redvillm.export.composition import SYSTEM_PROMPT, Composition, write_composition
from redvillm.export.pooling import pool_streams
from redvillm.export.text_llms import load_text_llm, read_text_side
from redvillm.export.tuning import LanguageTuning
from redvillm.export.vision_encoders import LoadedEncoder, load_vision_encoder
from redvillm.files import atomic_file
from redvillm.prompt import Prompt
from redvillm.question_set import read_caption_set, read_question_set
from redvillm.training.attention import use_float32_attention
from redvillm.training.averaging import TunedAdapter, averaged
from redvillm.training.checkpoint import Progress
from redvillm.training.clips import TrainingClip, check_lengths, described, emphasised, group_by_clip, media_of
from redvillm.training.encoding import open_encoder
from redvillm.training.features import FeatureStore, fill_store
from redvillm.training.language_tuning import TrainedLanguage
from redvillm.training.media import read_media
from redvillm.training.options import TrainingOptions
from redvillm.training.plots import plot_held_out, plot_losses
from redvillm.training.run_record import check_run, record_run
from redvillm.training.samples import Sampler
from redvillm.training.trainer import Trainer
from redvillm.training.video_llm import VideoLLM
from redvillm.training.warm_start import (
    Subject,
    described_words,
    motion_words,
    start_plainly,
    warm_start,
    warm_start_motion,
    word_targets,
    word_tokens,
)


@dataclass(frozen=True)
class Recipe:
    """What all stages share."""

    options: TrainingOptions
    vision: LoadedEncoder
    clips: tuple[TrainingClip, ...]
    held_out: tuple[TrainingClip, ...]
    store: FeatureStore
    prompt: Prompt
    stop_token_id: int
    llm: LlamaForCausalLM


def prepare(options: TrainingOptions) -> Recipe:
    """Read the questions, compute the features once and load the LLM in bfloat16.

    Raises:
        OptionsError: a file is not of the form, a text is too long, an image or a video is not readable, or the run folder is another run's.
        ExportError: a checkpoint is not what it should be.
    """
    check_run(options)
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    asked = [question for path in options.questions for question in read_question_set(path)]
    asked += [question for path in options.captions for question in read_caption_set(path)]
    check_lengths(asked)
    clips = group_by_clip(asked)
    if options.emphasis is not None:
        clips = emphasised(clips, options.emphasis, options.seed)
    held_out = () if options.held_out is None else _spread(group_by_clip(read_question_set(options.held_out)), options.held_out_clips)
    vision = load_vision_encoder(options.vision_checkpoint)
    store = fill_store(
        options.run / "features",
        media_of((*clips, *held_out)),
        lambda medium: read_media(medium.path, is_video=medium.is_video, size=vision.image_size, max_frames=options.max_frames),
        open_encoder(vision, options.run, options.threads),
        (vision.num_patches, vision.width),
    )
    text = read_text_side(options.language_checkpoint, SYSTEM_PROMPT)
    llm = load_text_llm(options.language_checkpoint, torch.bfloat16)
    use_float32_attention(llm)
    record_run(options)
    return Recipe(options, vision, clips, held_out, store, Prompt(text.tokenizer_json, text.prompt), text.end_of_turn, llm)


def run_recipe(recipe: Recipe) -> Path:
    """Warm start, captions, questions; return `adapter.safetensors` of the run folder."""
    options = recipe.options
    adapter, tuning = _started(recipe)
    language = TrainedLanguage(recipe.llm, shifts=options.tune_minimums) if options.tune_language else None
    if language is not None:
        language.load(tuning)
    model = VideoLLM(adapter.train().requires_grad_(True), recipe.llm, language)
    questions = _sampler(recipe, recipe.clips, 0)
    captions = _sampler(recipe, described(recipe.clips) or recipe.clips, 1)
    held_out = [questions.plain(clip) for clip in recipe.held_out]
    progress = Trainer(model, recipe.prompt, recipe.stop_token_id, options).train(captions, questions, held_out)
    path = options.run / "adapter.safetensors"
    metadata = {"recipe": "redvillm train", "steps": str(progress.step), "seed": str(options.seed)}
    result = TunedAdapter(adapter, LanguageTuning() if language is None else language.values())
    if options.start_share is not None:
        result = averaged(TunedAdapter(*_started(recipe)), result, options.start_share)
        metadata["start_share"] = str(options.start_share)
    save_adapter(result.adapter, path, metadata=metadata, tuning=result.tuning)
    write_composition(Composition(vision=options.vision_checkpoint, language=options.language_checkpoint, adapter=path), options.run)
    _report(progress, options.run)
    return path


def _started(recipe: Recipe) -> tuple[Adapter, LanguageTuning]:
    options = recipe.options
    if options.start_from is not None:
        return load_adapter(options.start_from), load_tuning(options.start_from)
    path = options.run / "warm_start.safetensors"
    if not path.exists():
        sizes = {"num_patches": recipe.vision.num_patches, "vision_width": recipe.vision.width, "llm_width": recipe.llm.config.hidden_size}
        adapter = Adapter(AdapterOptions(**sizes))
        _warm_start_images(recipe, adapter)
        _warm_start_motion(recipe, adapter)
        save_adapter(adapter, path, metadata={"recipe": "warm start"})
    return load_adapter(path), LanguageTuning()


def _warm_start_images(recipe: Recipe, adapter: Adapter) -> None:
    options, said = recipe.options, described_words(recipe.clips)
    targets, embeddings = _words_of(recipe, said)
    if targets:
        warm_start(adapter, embeddings, recipe.store, targets, steps=options.warm_start_steps, seed=options.seed)
        return
    start_plainly(adapter, recipe.llm.get_input_embeddings().weight.float())
    adapter.temporal_alignment.load_state_dict(adapter.alignment.state_dict())
    print("no warm start: no word is frequent enough in captions and names of images; training will take longer", file=sys.stderr)


def _warm_start_motion(recipe: Recipe, adapter: Adapter) -> None:
    options, num_motion = recipe.options, adapter.options.num_motion_tokens
    targets, embeddings = _words_of(recipe, motion_words(recipe.clips))
    if not targets:
        return
    energies = []
    for clip in track(targets, description="motion energy"):
        features = np.concatenate([recipe.store[medium] for medium in clip.media]).astype(np.float32)
        energies.append(pool_streams(torch.from_numpy(features), num_motion)[2])
    shares = torch.stack(list(targets.values()))
    warm_start_motion(adapter, embeddings, torch.stack(energies), shares, steps=options.warm_start_steps, seed=options.seed)


def _words_of(recipe: Recipe, said: Mapping[Subject, Sequence[str]]) -> tuple[dict[Subject, Tensor], Tensor]:
    """The word shares of each subject, and the LLM's embeddings of these words, float32 [W, H]."""
    tokens = word_tokens((word for words in said.values() for word in words), recipe.prompt.tokenizer)
    return word_targets(said, tokens), recipe.llm.get_input_embeddings().weight[list(tokens.values())].float()


def _sampler(recipe: Recipe, clips: Sequence[TrainingClip], stage: int) -> Sampler:
    options = recipe.options
    seed = options.seed * 2 + stage
    return Sampler(recipe.store, clips, max_frames=options.max_frames, max_questions=options.max_questions, seed=seed)


def _report(progress: Progress, run: Path) -> None:
    plot_losses(progress.losses, run / "loss.svg")
    figures = {"steps": progress.step, "elapsed_s": progress.elapsed_s, "held_out": progress.held_out}
    with atomic_file(run / "training.json") as temporary:
        temporary.write_text(json.dumps(figures, indent=1), encoding="utf-8")
    if progress.held_out:
        plot_held_out(progress.held_out, run / "held_out.svg")


def _spread(clips: Sequence[TrainingClip], count: int) -> tuple[TrainingClip, ...]:
    """At most `count` clips, spread evenly over all."""
    return tuple(clips[place] for place in even_places(len(clips), count))
