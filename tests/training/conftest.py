"""Clips with features and a Video LLM, all tiny and seeded, for the tests of the training recipe."""

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM

from redvillm.export.adapter import Adapter, AdapterOptions
from redvillm.export.chat_template import text_prompt
from redvillm.prompt import Prompt
from redvillm.question_set import VideoQuestion
from redvillm.training.clips import group_by_clip, media_of
from redvillm.training.features import fill_store
from redvillm.training.video_llm import VideoLLM

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SIZES = AdapterOptions(num_patches=4, vision_width=6, llm_width=32, num_motion_tokens=2, hidden_width=12, motion_hidden_width=8)


@pytest.fixture(scope="session")
def prompt():
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={letter: index for index, letter in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|im_start|>", "<|im_end|>"])
    return Prompt(tokenizer.to_str(), text_prompt(CHATML, "Look.", ()))


@pytest.fixture
def llm():
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=260,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        initializer_range=0.3,  # wide enough that the prompt moves the answer
        bos_token_id=None,
        eos_token_id=None,
    )
    return LlamaForCausalLM(config).eval()


@pytest.fixture
def model(llm):
    return VideoLLM(Adapter(SIZES), llm)


@pytest.fixture(scope="session")
def clips(tmp_path_factory):
    """Twelve described photos, each asked about twice more, and two clips of photos one after the other."""
    folder = tmp_path_factory.mktemp("media")
    things = ("A dog runs over the grass.", "A man rides a bike.", "Two girls swim in a pool.", "A red car stands on the street.")
    photos = [folder / f"{number:02d}.jpg" for number in range(12)]
    asked = []
    for number, photo in enumerate(photos):
        photo.write_bytes(bytes([number]))
        captions = (things[number % 4], things[number % 4].lower())
        asked.append(VideoQuestion((photo,), True, "describe", "What is happening?", captions))
        asked.append(VideoQuestion((photo,), True, "presence", "Is there a dog?", ("Yes.",) if number % 4 == 0 else ("No.",)))
        asked.append(VideoQuestion((photo,), True, "naming", "What is it?", (captions[0].split()[1],)))
    for first, second in ((0, 1), (2, 5)):
        media = (photos[first],) * 3 + (photos[second],) * 2
        asked.append(VideoQuestion(media, True, "scene change", "Does the scene change?", ("Yes.",)))
    return group_by_clip(asked)


@pytest.fixture(scope="session")
def store(clips, tmp_path_factory):
    return fill_store(tmp_path_factory.mktemp("features"), media_of(clips), read, encode, (4, 6))


def read(medium):
    """Pixels that tell the media apart."""
    return np.random.default_rng(medium.path.read_bytes()[0]).integers(0, 256, (1, 2, 2, 3), dtype=np.uint8)


def encode(pixels):
    """Any function of the pixels of one frame."""
    values = pixels.reshape(len(pixels), 4, 3).astype(np.float32) / 255
    return np.concatenate((values, values**2), axis=-1)
