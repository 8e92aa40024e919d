"""A checkpoint of a family with the real weights of SmolLM2-135M: the exported bundle answers as transformers does.

Its vision encoder is tiny and its connector gives zeros, so that nothing but the LLM decides what is said.
"""

import numpy as np
import pytest
import tiny_checkpoints
import torch
import transformers
from transformers import PreTrainedTokenizerFast

import redvillm
from redvillm.export.bundle import export_checkpoint
from redvillm.export.checkpoint_plan import CheckpointOptions
from redvillm.export.llama import load_llama
from redvillm.export.text_llms import read_text_side
from redvillm.prompt import Prompt
from redvillm.runtime.options import GenerationOptions

pytestmark = pytest.mark.network
NUM_FRAMES = 3
NUM_TOKENS = 24
IMAGE_TOKENS = ["<image>", "<fake_token_around_image>", "<global-img>"]
QUESTIONS = {"What is the capital of France?": "Paris", "What is the opposite of hot?": "cold", "Name the largest planet.": "Jupiter"}


def make(llm, tokenizer):
    """Idefics3 around an LLM, whose table of embeddings grows by the tokens of images."""
    text = {**llm.config.to_dict(), "vocab_size": len(tokenizer)}
    config = transformers.Idefics3Config(
        vision_config=tiny_checkpoints.VISION,
        text_config=transformers.LlamaConfig(**text),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        scale_factor=2,
        tie_word_embeddings=True,
    )
    model = tiny_checkpoints.made(config)
    state = llm.model.state_dict()
    table = torch.zeros(len(tokenizer), llm.config.hidden_size)
    table[: llm.config.vocab_size] = state["embed_tokens.weight"]
    model.model.text_model.load_state_dict({**state, "embed_tokens.weight": table})
    model.tie_weights()
    for parameter in model.model.connector.parameters():
        parameter.zero_()
    return model


@pytest.fixture
def checkpoint(fetch_real, tmp_path):
    """The folder, the model and the prompt's tokenizer."""
    path = fetch_real("smollm2-135m-instruct")
    side = read_text_side(path, "")
    (tmp_path / "tokenizer.json").write_text(side.tokenizer_json, encoding="utf-8")
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(tmp_path / "tokenizer.json"), eos_token="<|im_end|>", pad_token="<|im_end|>")
    tokenizer.add_special_tokens({"additional_special_tokens": IMAGE_TOKENS})
    tokenizer.chat_template = tiny_checkpoints.CHATML.replace("IMAGE", "<image>")
    model = make(load_llama(path), tokenizer)
    folder = tmp_path / "checkpoint"
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    size = tiny_checkpoints.VISION["image_size"]
    transformers.Idefics3ImageProcessorPil(size={"longest_edge": 2 * size}, max_image_size={"longest_edge": size}).save_pretrained(folder)
    return folder, model


def largest_gap(model, prompt, question, num_visual_tokens, text):
    """How far, in nat, a token of the text is from the one that transformers finds likeliest after the tokens before it; the largest of all."""
    table, width, ids = model.model.text_model.embed_tokens, model.config.text_config.hidden_size, prompt.tokenizer.encode(text).ids
    before, after = (table(torch.tensor(list(part))) for part in (prompt.prefix_ids, [*prompt.suffix_ids(question), *ids]))
    embeddings = torch.cat([before, torch.zeros(num_visual_tokens, width), after])[None]
    with torch.inference_mode():
        logits = model.lm_head(model.model.text_model(inputs_embeds=embeddings).last_hidden_state[0, -len(ids) - 1 : -1])
    return float((logits.max(1).values - logits[range(len(ids)), ids]).max())


def test_it_answers_as_transformers_does(checkpoint, tmp_path):
    folder, model = checkpoint
    options = CheckpointOptions(decoder="int8", max_frames=NUM_FRAMES, max_context_tokens=256)
    manifest = export_checkpoint(str(folder), tmp_path / "bundle", options, vision="fp32")
    assert all(result.passed for result in manifest.parity)
    clip = tmp_path / "clip.avi"
    write_clip(clip)
    with redvillm.load(tmp_path / "bundle") as opened:
        prompt = Prompt((tmp_path / "bundle" / "tokenizer.json").read_text(encoding="utf-8"), opened.manifest.prompt)
        for question, word in QUESTIONS.items():
            answer = opened.ask(clip, question, options=GenerationOptions(max_new_tokens=NUM_TOKENS))
            assert word in answer.text
            # 8-bit weights: where two words are about as likely, they may change places
            assert largest_gap(model, prompt, question, answer.stats.num_visual_tokens, answer.text) < 0.5


def write_clip(path):
    import cv2

    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
    for value in range(0, 200, 40):
        writer.write(np.full((48, 64, 3), value, np.uint8))
    writer.release()
