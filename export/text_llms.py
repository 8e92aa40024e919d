"""Text LLMs by themselves, for models that are put together: a GGUF file, or a folder of transformers.

Both give the same: a torch model, tokenizer and prompt. Knows where each comes from;
does not know vision encoders or adapters.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer

from redvillm.errors import ExportError
from redvillm.export.chat_template import split_prompt, video_messages
from redvillm.export.checkpoint import explained, load_whole
from redvillm.export.families.common import stop_token_ids
from redvillm.export.llama import load_llama
from redvillm.export.tokenizer import end_of_turn, read_prompt
from redvillm.export.tuning import NO_TUNING, LanguageTuning
from redvillm.manifest import PromptSpec

_ANSWER_MARK = "\x00answer\x00"


@dataclass(frozen=True, kw_only=True)
class TextSide:
    """tokenizer.json, the prompt, and the token that a model is taught to say last."""

    tokenizer_json: str
    prompt: PromptSpec
    end_of_turn: int


def is_gguf(path: Path) -> bool:
    """Whether an LLM comes as a file, which is quantized already and stays so, and not as a folder."""
    return not path.is_dir()


def read_text_side(path: Path, system: str) -> TextSide:
    """Return the text side of an LLM, with a system message unless `system` is empty.

    Raises:
        ExportError: no tokenizer, or no chat template that shows the message once.
    """
    if is_gguf(path):
        tokenizer_json, prompt = read_prompt(path, system)
        return TextSide(tokenizer_json=tokenizer_json, prompt=prompt, end_of_turn=end_of_turn(path))
    with explained(f"the tokenizer in {path}"):
        tokenizer = transformers.AutoTokenizer.from_pretrained(path, local_files_only=True, trust_remote_code=False)
        configuration = transformers.AutoConfig.from_pretrained(path, local_files_only=True, trust_remote_code=False)
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None or not tokenizer.chat_template:
        raise ExportError(f"{path} has no fast tokenizer with a chat template; give an LLM that follows instructions, with tokenizer.json")
    stops = stop_token_ids(tokenizer, _generation_settings(path), configuration)
    prompt = split_prompt(_rendered(tokenizer, video_messages(system), path, add_generation_prompt=True), stops)
    return TextSide(tokenizer_json=backend.to_str(), prompt=prompt, end_of_turn=_taught_end(tokenizer, stops, path))


def load_text_llm(path: Path, dtype: torch.dtype | None = None, *, tuning: LanguageTuning = NO_TUNING) -> Any:
    """Return the torch model (with `model` and `lm_head`), in eval mode and without gradients.

    A GGUF is dequantized, with `tuning`; of a folder, which is not tuned here, `dtype` None keeps the type of its weights (of a GGUF: float32).

    Raises:
        ExportError: neither a GGUF of the Llama architecture nor a folder with a causal LLM.
    """
    if is_gguf(path):
        return load_llama(path, dtype or torch.float32, tuning=tuning)
    return load_whole(transformers.AutoModelForCausalLM, path, f"the LLM in {path}", dtype)


def _generation_settings(path: Path) -> Any:
    try:
        return transformers.GenerationConfig.from_pretrained(path, local_files_only=True)
    except (OSError, ValueError):
        return None  # a checkpoint need not have them


def _taught_end(tokenizer: Any, stops: tuple[int, ...], path: Path) -> int:
    """The stop token that the chat template itself writes after an answer."""
    messages = [{"role": "user", "content": "?"}, {"role": "assistant", "content": _ANSWER_MARK}]
    after = _rendered(tokenizer, messages, path, add_generation_prompt=False).partition(_ANSWER_MARK)[2].lstrip()
    backend: Tokenizer = tokenizer.backend_tokenizer
    return next((token for token in stops if after.startswith(str(backend.id_to_token(token)))), stops[-1])


def _rendered(tokenizer: Any, messages: list[dict[str, str]], path: Path, *, add_generation_prompt: bool) -> str:
    try:
        return str(tokenizer.apply_chat_template(messages, add_generation_prompt=add_generation_prompt, tokenize=False))
    except Exception as error:  # a template can raise anything
        words = " ".join(str(error).split())
        raise ExportError(f"the chat template in {path} cannot be used ({words:.200}); give an empty 'system', or another LLM") from error
