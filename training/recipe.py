"""The whole recipe of the default model, stage by stage; each stage is skipped when its result is there.

Joins the parts; every part is described in its own file.
"""

import json
from dataclasses import asdict, dataclass

import torch
from transformers import LlamaForCausalLM

from redvillm.export.adapter import Adapter, AdapterOptions, load_adapter, save_adapter
from redvillm.export.efficientnet import FEATURE_WIDTH, GRID_SIZE, IMAGE_SIZE
from redvillm.export.llama import load_llama
from redvillm.export.tokenizer import read_tokenizer
from redvillm.files import atomic_file
from redvillm.prompt import Prompt
from redvillm.training.clips import plan_clips
from redvillm.training.datasets import read_flickr8k
from redvillm.training.encoding import open_encoder
from redvillm.training.evaluation import Evaluator, scores_table
from redvillm.training.features import FeatureStore, fill_store
from redvillm.training.options import TrainingOptions
from redvillm.training.packing import SYSTEM_PROMPT
from redvillm.training.plots import plot_losses
from redvillm.training.samples import Sampler
from redvillm.training.trainer import train_adapter
from redvillm.training.video_llm import VideoLLM
from redvillm.training.warm_start import caption_words, warm_start, word_targets


@dataclass(frozen=True)
class Recipe:
    """What all stages share."""

    options: TrainingOptions
    store: FeatureStore
    captions: dict[str, tuple[str, ...]]
    prompt: Prompt
    stop_token_id: int
    llm: LlamaForCausalLM


def prepare(options: TrainingOptions) -> Recipe:
    """Compute the features once and load the LLM in bfloat16."""
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    encode = open_encoder(options.vision_checkpoint, options.run, options.threads)
    plan = plan_clips(options.data, IMAGE_SIZE, options.seed)
    store = fill_store(options.run / "features", plan, encode, (GRID_SIZE * GRID_SIZE, FEATURE_WIDTH))
    captions = {image.path.name: image.captions for image in read_flickr8k(options.data / "flickr8k")}
    tokenizer_json, chat_template, stop_token_ids = read_tokenizer(options.language_checkpoint)
    prompt = Prompt(tokenizer_json, chat_template, SYSTEM_PROMPT)
    stop_token_id = next(token for token in stop_token_ids if prompt.tokenizer.id_to_token(token) == "<|im_end|>")
    return Recipe(options, store, captions, prompt, stop_token_id, load_llama(options.language_checkpoint, torch.bfloat16))


def run_recipe(recipe: Recipe) -> Adapter:
    """Warm start, then captions and questions through the frozen LLM; writes `adapter.safetensors` in the run folder."""
    options = recipe.options
    adapter = _warm_started(recipe).train().requires_grad_(True)
    model = VideoLLM(adapter, recipe.llm)
    sampler = Sampler(recipe.store, recipe.captions, "train", options.seed)
    progress = train_adapter(model, sampler, recipe.prompt, recipe.stop_token_id, options)
    metadata = {"recipe": "redvillm-nano", "steps": str(progress.step), "seed": str(options.seed)}
    save_adapter(adapter, options.run / "adapter.safetensors", metadata=metadata)
    plot_losses(progress.losses, options.run / "loss.svg")
    return adapter.eval()


def evaluate(recipe: Recipe, max_clips: int | None = None) -> str:
    """Measure `adapter.safetensors` of the run on the test split; write `evaluation.json`, return the table as Markdown.

    Raises:
        ExportError: the run has no adapter yet.
    """
    adapter = load_adapter(recipe.options.run / "adapter.safetensors")
    scores = Evaluator(VideoLLM(adapter, recipe.llm), recipe.store, recipe.captions, recipe.prompt, recipe.stop_token_id).scores(max_clips)
    with atomic_file(recipe.options.run / "evaluation.json") as temporary:
        temporary.write_text(json.dumps([asdict(score) for score in scores], indent=1), encoding="utf-8")
    return scores_table(scores)


def _warm_started(recipe: Recipe) -> Adapter:
    path = recipe.options.run / "warm_start.safetensors"
    if path.exists():
        return load_adapter(path)
    adapter = Adapter(AdapterOptions())
    words = caption_words(recipe.captions, recipe.prompt.tokenizer)
    embeddings = recipe.llm.get_input_embeddings().weight[list(words.values())].float()
    targets = word_targets(recipe.store, recipe.captions, words)
    losses = warm_start(adapter, embeddings, recipe.store, targets, steps=recipe.options.warm_start_steps, seed=recipe.options.seed)
    save_adapter(adapter, path, metadata={"recipe": "warm start", "loss": f"{sum(losses[-20:]) / len(losses[-20:]):.4f}"})
    return load_adapter(path)
