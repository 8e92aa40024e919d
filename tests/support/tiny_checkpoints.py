"""Tiny seeded checkpoints of every family, written to a folder as transformers writes them. Imported by tests that have transformers."""

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

SPECIAL = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<image>",
    "<fake_token_around_image>",
    "<global-img>",
    "<end_of_utterance>",
    "<row_1_col_1>",
]
SPECIAL += ["<img>", "</img>", "<IMG_CONTEXT>", "<video>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}IMAGE{% else %}{{ part['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TEXT = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "initializer_range": 0.15,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
VISION = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 2, "image_size": 32, "patch_size": 8}


def tokenizer(**tokens):
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: index for index, token in enumerate([*SPECIAL, *alphabet])}
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    backend.pre_tokenizer, backend.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    backend.add_special_tokens(SPECIAL)
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<|im_end|>", pad_token="<|endoftext|>", extra_special_tokens=tokens)


VOCABULARY_SIZE = len(SPECIAL) + 256


def llava(vision="clip", text="llama", layer=-2):
    tower = {"clip": transformers.CLIPVisionConfig, "siglip": transformers.SiglipVisionConfig}[vision](**VISION)
    images = transformers.CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    if vision == "siglip":
        images = transformers.SiglipImageProcessorPil(size={"height": 32, "width": 32})
    config = transformers.LlavaConfig(
        vision_config=tower,
        text_config=text_config(text),
        image_token_index=SPECIAL.index("<image>"),
        vision_feature_layer=layer,
        vision_feature_select_strategy="default" if vision == "clip" else "full",
    )
    return made(config), images, "<image>"


def llava_next():
    images = transformers.LlavaNextImageProcessorPil(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}, image_grid_pinpoints=[[32, 64], [64, 32], [64, 64]]
    )
    config = transformers.LlavaNextConfig(
        vision_config=transformers.CLIPVisionConfig(**VISION),
        text_config=text_config("mistral"),
        image_token_index=SPECIAL.index("<image>"),
        image_grid_pinpoints=[[32, 64], [64, 32], [64, 64]],
    )
    return made(config), images, "<image>"


def llava_onevision():
    images = transformers.LlavaOnevisionImageProcessorPil(size={"height": 32, "width": 32}, image_grid_pinpoints=[[32, 32], [32, 64], [64, 32]])
    config = transformers.LlavaOnevisionConfig(
        vision_config=transformers.SiglipVisionConfig(**VISION, vision_use_head=False),
        text_config=text_config("qwen2"),
        image_token_index=SPECIAL.index("<image>"),
        image_grid_pinpoints=[[32, 32], [32, 64], [64, 32]],
    )
    return made(config), images, "<image>"


def idefics3():
    images = transformers.Idefics3ImageProcessorPil(size={"longest_edge": 64}, max_image_size={"longest_edge": 32})
    config = transformers.Idefics3Config(
        vision_config=VISION, text_config=text_config("llama"), image_token_id=SPECIAL.index("<image>"), scale_factor=2, tie_word_embeddings=False
    )
    return made(config), images, "<image>"


def smolvlm():
    images = transformers.SmolVLMImageProcessorPil(size={"longest_edge": 64}, max_image_size={"longest_edge": 32})
    config = transformers.SmolVLMConfig(
        vision_config=VISION, text_config=text_config("llama"), image_token_id=SPECIAL.index("<image>"), scale_factor=2, tie_word_embeddings=False
    )
    return made(config), images, "<image>"


def internvl():
    images = transformers.GotOcr2ImageProcessorPil(size={"height": 32, "width": 32})
    vision = transformers.InternVLVisionConfig(**{**VISION, "image_size": [32, 32], "patch_size": [8, 8]}, use_qk_norm=True)
    config = transformers.InternVLConfig(vision_config=vision, text_config=text_config("qwen2"), image_token_id=SPECIAL.index("<IMG_CONTEXT>"))
    return made(config), images, "<IMG_CONTEXT>"


def qwen2_vl():
    vision = {"depth": 3, "embed_dim": 32, "hidden_size": 64, "num_heads": 2, "mlp_ratio": 2, "patch_size": 8}
    config = transformers.Qwen2VLConfig(vision_config=vision, text_config={**TEXT, **MROPE, "vocab_size": VOCABULARY_SIZE}, **_qwen_tokens())
    return made(config), transformers.Qwen2VLImageProcessorPil(patch_size=8), "<|vision_start|><|image_pad|><|vision_end|>"


def qwen2_5_vl():
    vision = {"depth": 3, "hidden_size": 32, "out_hidden_size": 64, "intermediate_size": 48, "num_heads": 2, "patch_size": 8}
    vision |= {"window_size": 32, "fullatt_block_indexes": [1]}
    config = transformers.Qwen2_5_VLConfig(vision_config=vision, text_config={**TEXT, **MROPE, "vocab_size": VOCABULARY_SIZE}, **_qwen_tokens())
    return made(config), transformers.Qwen2VLImageProcessorPil(patch_size=8), "<|vision_start|><|image_pad|><|vision_end|>"


FAMILIES = {
    "llava, CLIP, Llama": llava,
    "llava, CLIP, two layers": lambda: llava(layer=[-3, -2]),
    "llava, SigLIP, Qwen2": lambda: llava("siglip", "qwen2"),
    "llava_next": llava_next,
    "llava_onevision": llava_onevision,
    "idefics3": idefics3,
    "smolvlm": smolvlm,
    "internvl": internvl,
    "qwen2_vl": qwen2_vl,
    "qwen2_5_vl": qwen2_5_vl,
}
MROPE = {"rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 3, 3]}}


def text_config(name):
    kinds = {"llama": transformers.LlamaConfig, "mistral": transformers.MistralConfig, "qwen2": transformers.Qwen2Config}
    return kinds[name](**TEXT, vocab_size=VOCABULARY_SIZE)


def made(config):
    """The model of a configuration with random weights, biases included."""
    torch.manual_seed(11)
    model = transformers.AutoModelForImageTextToText.from_config(config).eval().requires_grad_(False)
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            parameter.normal_(0, 0.2)
        elif parameter.dim() > 1 and parameter.std() < 0.1:
            parameter.normal_(0, 0.15)
    return model


def processing(name):
    """Model and Processing of a family."""
    from redvillm.export.image_llm import Processing

    model, images, placeholder = FAMILIES[name]()
    return model, Processing(images=images, tokenizer=tokenizer(), chat_template=CHATML.replace("IMAGE", placeholder))


def _qwen_tokens():
    return {
        "image_token_id": SPECIAL.index("<|image_pad|>"),
        "video_token_id": SPECIAL.index("<|video_pad|>"),
        "vision_start_token_id": SPECIAL.index("<|vision_start|>"),
    }


def write(folder, name, *, dtype=torch.float32, shard_bytes=None):
    """Write a checkpoint as transformers does."""
    model, parts = processing(name)
    parts.tokenizer.chat_template = parts.chat_template
    model.to(dtype).save_pretrained(folder, **({"max_shard_size": shard_bytes} if shard_bytes else {}))
    parts.tokenizer.save_pretrained(folder)
    parts.images.save_pretrained(folder)
    return folder
