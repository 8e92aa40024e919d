"""A feature store, captions and a Video LLM, all tiny and seeded, for the tests of the training recipe."""

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM

from redvillm.export.adapter import Adapter, AdapterOptions
from redvillm.prompt import Prompt
from redvillm.training.features import ClipRecord, PlannedClip, fill_store
from redvillm.training.video_llm import VideoLLM

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SIZES = AdapterOptions(num_patches=4, vision_width=6, llm_width=16, num_motion_tokens=2, hidden_width=12, motion_hidden_width=8)


@pytest.fixture(scope="session")
def prompt():
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={letter: index for index, letter in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|im_start|>", "<|im_end|>"])
    return Prompt(tokenizer.to_str(), CHATML, "Look.")


@pytest.fixture
def model():
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=260,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        initializer_range=0.5,  # wide enough that the prompt moves the answer
        bos_token_id=None,
        eos_token_id=None,
    )
    return VideoLLM(Adapter(SIZES), LlamaForCausalLM(config).eval())


@pytest.fixture(scope="session")
def captions():
    things = ("A dog runs over the grass.", "A man rides a bike.", "Two girls swim in a pool.", "A red car stands on the street.")
    return {f"{number}.jpg": (things[number % 4], things[number % 4].lower()) for number in range(12)}


@pytest.fixture(scope="session")
def store(captions, tmp_path_factory):
    generator = np.random.default_rng(0)

    def clip(kind, source, split, label, num_frames):
        pixels = generator.integers(0, 256, (num_frames, 2, 2, 3), dtype=np.uint8)
        return PlannedClip(ClipRecord(kind, source, split, label, num_frames), lambda: pixels)

    splits = ["train"] * 8 + ["validation"] * 2 + ["test"] * 2
    plan = [clip("photo", name, split, "", 4) for name, split in zip(captions, splits, strict=True)]
    plan += [clip("object", f"{label}/{number}.jpg", "train" if number < 3 else "test", label, 1) for label in ("cup", "lamp") for number in range(5)]
    plan += [clip("sprite", "0.jpg", "train", direction, 8) for direction in ("left", "")] + [clip("sprite", "10.jpg", "test", "up", 8)]
    return fill_store(tmp_path_factory.mktemp("features"), plan, encode, (4, 6))


def encode(pixels):
    """Any function of the pixels of one frame."""
    values = pixels.reshape(len(pixels), 4, 3).astype(np.float32) / 255
    return np.concatenate((values, values**2), axis=-1)
