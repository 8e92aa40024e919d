"""Models that are put together from tiny random parts, written to a folder. Imported by tests that have transformers."""

import json

import tiny_checkpoints
import tiny_llama
import torch
import transformers

from redvillm.export.adapter import Adapter, AdapterOptions, save_adapter
from redvillm.export.tuning import NO_TUNING
from redvillm.export.vision_encoders import load_vision_encoder

TEXT_CHAT = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
WIDTH = tiny_checkpoints.TEXT["hidden_size"]


def siglip():
    return transformers.SiglipVisionModel(transformers.SiglipVisionConfig(**tiny_checkpoints.VISION)), {"height": 32, "width": 32}, 16


def clip_with_text():
    text = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 9}
    config = transformers.CLIPConfig(vision_config=tiny_checkpoints.VISION, text_config=text, projection_dim=8)
    return transformers.CLIPModel(config), {"height": 32, "width": 32}, 16


def dino_with_registers():
    sizes = {**tiny_checkpoints.VISION, "mlp_ratio": 2, "num_register_tokens": 3}
    return transformers.Dinov2WithRegistersModel(transformers.Dinov2WithRegistersConfig(**sizes)), {"height": 32, "width": 32}, 16


def convnext():
    sizes = {"hidden_sizes": [8, 8, 16, 32], "depths": [1, 1, 1, 1], "image_size": 64}
    return transformers.ConvNextModel(transformers.ConvNextConfig(**sizes)), {"height": 64, "width": 64}, 4


VISION = {maker.__name__: maker for maker in (siglip, clip_with_text, dino_with_registers, convnext)}


def write_vision(folder, name):
    torch.manual_seed(0)
    model, size, _ = VISION[name]()
    model.save_pretrained(folder)
    transformers.SiglipImageProcessorPil(size=size).save_pretrained(folder)
    return folder


def write_language(folder, kind="llama"):
    torch.manual_seed(1)
    transformers.AutoModelForCausalLM.from_config(tiny_checkpoints.text_config(kind)).save_pretrained(folder)
    tokenizer = tiny_checkpoints.tokenizer()
    tokenizer.chat_template = TEXT_CHAT
    tokenizer.save_pretrained(folder)
    return folder


def write_adapter(path, num_patches, vision_width, llm_width=WIDTH, tuning=NO_TUNING):
    torch.manual_seed(2)
    sizes = {"num_patches": num_patches, "vision_width": vision_width, "llm_width": llm_width}
    save_adapter(Adapter(AdapterOptions(**sizes, hidden_width=24, motion_hidden_width=8)), path, metadata={}, tuning=tuning)


def compose(folder, *, encoder="siglip", llm="llama", tuning=NO_TUNING, **changes):
    """Write all parts into a folder; `changes` are of config.json."""
    folder.mkdir(parents=True)
    write_vision(folder / "vision", encoder)
    loaded = load_vision_encoder(folder / "vision")
    if llm == "gguf":
        tiny_llama.write_gguf(folder / "llm")
    else:
        write_language(folder / "llm", llm)
    width = tiny_llama.WIDTH if llm == "gguf" else WIDTH
    write_adapter(folder / "adapter.safetensors", loaded.num_patches, loaded.width, width, tuning)
    config = {"model_type": "redvillm-composed", "vision": "vision", "language": "llm", "adapter": "adapter.safetensors", **changes}
    (folder / "config.json").write_text(json.dumps({key: value for key, value in config.items() if value is not None}), encoding="utf-8")
    return folder
