"""Text LLMs by themselves, for models that are put together: a GGUF file, or a folder of transformers.

Both give the same: a torch model for training and comparison, a source of the decoder's weights, tokenizer and prompt. Knows where each comes from;
does not know vision encoders or adapters.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer

from redvillm.errors import ExportError
from redvillm.export.checkpoint import explained
from redvillm.export.decoder_source import DecoderSource
from redvillm.export.families.common import stop_token_ids
from redvillm.export.float_quantization import BlockFormat
from redvillm.export.gguf_source import GgufSource
from redvillm.export.llama import load_llama
from redvillm.export.tokenizer import end_of_turn, read_prompt
from redvillm.export.torch_source import TorchSource
from redvillm.export.tuning import NO_TUNING, LanguageTuning
from redvillm.manifest import PromptSpec

_VIDEO_MARK = "\x00video\x00"
_QUESTION_MARK = "\x00question\x00"
_ANSWER_MARK = "\x00answer\x00"


@dataclass(frozen=True, kw_only=True)
class TextSide:
    """tokenizer.json, the prompt, and the token that a model is taught to say last."""

    tokenizer_json: str
    prompt: PromptSpec
    end_of_turn: int


def read_text_side(path: Path, system: str) -> TextSide:
    """Return the text side of an LLM, with a system message unless `system` is empty.

    Raises:
        ExportError: no tokenizer, or no chat template that shows the message once.
    """
    if not path.is_dir():
        tokenizer_json, prompt = read_prompt(path, system)
        return TextSide(tokenizer_json=tokenizer_json, prompt=prompt, end_of_turn=end_of_turn(path))
    with explained(f"the tokenizer in {path}"):
        tokenizer = transformers.AutoTokenizer.from_pretrained(path, local_files_only=True, trust_remote_code=False)
        configuration = transformers.AutoConfig.from_pretrained(path, local_files_only=True, trust_remote_code=False)
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None or not tokenizer.chat_template:
        raise ExportError(f"{path} has no fast tokenizer with a chat template; give an LLM that follows instructions, with tokenizer.json")
    stops = stop_token_ids(tokenizer, _generation_settings(path), configuration)
    return TextSide(tokenizer_json=backend.to_str(), prompt=_prompt(tokenizer, system, stops, path), end_of_turn=_taught_end(tokenizer, stops, path))


def load_text_llm(path: Path, dtype: torch.dtype = torch.float32, *, tuning: LanguageTuning = NO_TUNING) -> Any:
    """Return the torch model (with `model` and `lm_head`), in eval mode and without gradients; a GGUF is dequantized, with its tuning.

    Raises:
        ExportError: neither a GGUF of the Llama architecture nor a folder with a causal LLM.
    """
    if not path.is_dir():
        return load_llama(path, dtype, tuning=tuning)
    with explained(f"the LLM in {path}"):
        llm = transformers.AutoModelForCausalLM.from_pretrained(path, dtype=dtype, local_files_only=True, trust_remote_code=False)
    return llm.eval().requires_grad_(False)


def text_llm_source(path: Path, form: BlockFormat, tuning: LanguageTuning) -> DecoderSource:
    """Return the weights for the decoder: those of a GGUF as they are stored, those of a folder brought to `form`.

    Raises:
        ExportError: as `load_text_llm`, or an architecture that the decoder's graph does not have.
    """
    if not path.is_dir():
        return GgufSource(path, tuning)
    llm = load_text_llm(path, torch.bfloat16)
    return TorchSource(llm.model, llm.lm_head, form, origin=str(path), tuning=tuning)


def _generation_settings(path: Path) -> Any:
    try:
        return transformers.GenerationConfig.from_pretrained(path, local_files_only=True)
    except (OSError, ValueError):
        return None  # a checkpoint need not have them


def _prompt(tokenizer: Any, system: str, stops: tuple[int, ...], path: Path) -> PromptSpec:
    messages = [{"role": "user", "content": f"{_VIDEO_MARK}\n{_QUESTION_MARK}"}]
    text = _rendered(tokenizer, ([{"role": "system", "content": system}] if system else []) + messages, path, add_generation_prompt=True)
    if text.count(_VIDEO_MARK) != 1 or text.count(_QUESTION_MARK) != 1:
        raise ExportError(f"the chat template in {path} does not show the user's text once; give an LLM with another one")
    before, rest = text.split(_VIDEO_MARK)
    between, after = rest.split(_QUESTION_MARK)
    return PromptSpec(before=before, between=between, after=after, stop_token_ids=stops)


def _taught_end(tokenizer: Any, stops: tuple[int, ...], path: Path) -> int:
    """The stop token that the chat template itself writes after an answer."""
    messages = [{"role": "user", "content": _QUESTION_MARK}, {"role": "assistant", "content": _ANSWER_MARK}]
    after = _rendered(tokenizer, messages, path, add_generation_prompt=False).partition(_ANSWER_MARK)[2].lstrip()
    backend: Tokenizer = tokenizer.backend_tokenizer
    return next((token for token in stops if after.startswith(str(backend.id_to_token(token)))), stops[-1])


def _rendered(tokenizer: Any, messages: list[dict[str, str]], path: Path, *, add_generation_prompt: bool) -> str:
    try:
        return str(tokenizer.apply_chat_template(messages, add_generation_prompt=add_generation_prompt, tokenize=False))
    except Exception as error:  # a template can raise anything
        words = " ".join(str(error).split())
        raise ExportError(f"the chat template in {path} cannot be used ({words:.200}); give an empty 'system', or another LLM") from error
