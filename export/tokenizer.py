"""The tokenizer and chat template of a GGUF file, as a Hugging Face tokenizer.json and a Jinja2 template.

Knows byte-level BPE as GGUF stores it; does not know the decoder's weights.
"""

from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers

from redvillm.errors import ExportError
from redvillm.export.chat_template import text_prompt
from redvillm.export.gguf import GgufFile
from redvillm.manifest import PromptSpec

_CONTROL, _USER_DEFINED = 3, 4  # token types of GGUF
_END_OF_TURN = ("<|im_end|>", "<|endoftext|>", "<|eot_id|>", "</s>")
_DIGITS = Regex(r"\p{N}")


def read_tokenizer(path: Path) -> tuple[str, str, tuple[int, ...]]:
    """Return tokenizer.json, the chat template, and the ids that end an answer (sorted).

    Raises:
        ExportError: the file has no chat template or another tokenizer than byte-level BPE with a known splitting rule.
    """
    source = GgufFile(path)
    tokens = source.metadata("tokenizer.ggml.tokens")
    tokenizer = Tokenizer(models.BPE(vocab={token: index for index, token in enumerate(tokens)}, merges=_merges(source)))
    tokenizer.pre_tokenizer = _splitting_rule(source)
    tokenizer.decoder = decoders.ByteLevel()
    types = source.metadata("tokenizer.ggml.token_type")
    for token, kind in zip(tokens, types, strict=True):
        if kind in (_CONTROL, _USER_DEFINED):
            tokenizer.add_tokens([AddedToken(token, special=kind == _CONTROL, normalized=False)])
    if tokenizer.get_vocab_size() != len(tokens):
        raise ExportError(f"{path} lists a token twice in its vocabulary; convert the model to GGUF again")
    return tokenizer.to_str(), source.metadata("tokenizer.chat_template"), _stop_ids(source, tokens, types)


def read_prompt(path: Path, system: str) -> tuple[str, PromptSpec]:
    """Return tokenizer.json and the prompt that the file's own chat template makes of a video, with a system message.

    Raises:
        ExportError: as `read_tokenizer`, or a chat template that cannot be used.
    """
    tokenizer_json, chat_template, stop_token_ids = read_tokenizer(path)
    return tokenizer_json, text_prompt(chat_template, system, stop_token_ids)


def end_of_turn(path: Path) -> int:
    """Return the id of the token that ends an answer in the file's own chat template: what a model is taught to say last.

    Raises:
        ExportError: as `read_tokenizer`.
    """
    tokenizer_json, chat_template, stop_token_ids = read_tokenizer(path)
    tokenizer = Tokenizer.from_str(tokenizer_json)
    return next((token for token in stop_token_ids if str(tokenizer.id_to_token(token)) in chat_template), stop_token_ids[-1])


def _merges(source: GgufFile) -> list[tuple[str, str]]:
    if (kind := source.metadata("tokenizer.ggml.model")) != "gpt2":
        raise ExportError(f"{source.path} has a tokenizer of the kind {kind!r:.60}, 'gpt2' (byte-level BPE) is wanted; choose another model")
    pairs = [merge.split(" ") for merge in source.metadata("tokenizer.ggml.merges")]
    if any(len(pair) != 2 for pair in pairs):
        raise ExportError(f"{source.path} has a merge that is not a pair of tokens; convert the model to GGUF again")
    return [(left, right) for left, right in pairs]


def _splitting_rule(source: GgufFile) -> pre_tokenizers.PreTokenizer:
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=bool(source.metadata("tokenizer.ggml.add_space_prefix", default=False)))
    rules = {
        "gpt-2": byte_level,
        "smollm": pre_tokenizers.Sequence([pre_tokenizers.Split(_DIGITS, behavior="isolated"), byte_level]),
    }
    name = source.metadata("tokenizer.ggml.pre", "gpt-2")
    if name not in rules:
        raise ExportError(f"{source.path} splits text by the rule {name!r:.60}, known are {', '.join(sorted(rules))}; choose another model")
    return rules[name]


def _stop_ids(source: GgufFile, tokens: list[str], types: list[int]) -> tuple[int, ...]:
    ends = {index for index, token in enumerate(tokens) if types[index] == _CONTROL and token in _END_OF_TURN}
    return tuple(sorted(ends | {int(source.metadata("tokenizer.ggml.eos_token_id"))}))
