import pytest
import tiny_llama
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from redvillm.errors import ExportError
from redvillm.export.tokenizer import end_of_turn, read_tokenizer


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    tokenizer_json, _, _ = read_tokenizer(tiny_llama.write_gguf(tmp_path_factory.mktemp("tokenizer") / "m.gguf"))
    return Tokenizer.from_str(tokenizer_json)


def test_template_and_stop_tokens(tmp_path):
    _, template, stop_token_ids = read_tokenizer(tiny_llama.write_gguf(tmp_path / "m.gguf"))
    assert template == tiny_llama.TEMPLATE
    assert stop_token_ids == (0, 2)


def test_ids_are_those_of_the_file(tokenizer):
    assert tokenizer.get_vocab_size() == len(tiny_llama.VOCABULARY)
    assert all(tokenizer.id_to_token(index) == token for index, token in enumerate(tiny_llama.VOCABULARY))


def test_merges_special_tokens_and_single_digits(tokenizer):
    assert tokenizer.encode("the the in").tokens == ["the", "Ġthe", "Ġ", "in"]
    assert tokenizer.encode("<|im_start|>a 12").tokens == ["<|im_start|>", "a", "Ġ", "1", "2"]
    assert tokenizer.encode("<|im_end|>").ids == [2]


@given(st.text())
def test_any_text_comes_back(tokenizer, text):
    assert tokenizer.decode(tokenizer.encode(text).ids, skip_special_tokens=False) == text


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("tokenizer.ggml.model", "llama", r"kind 'llama', 'gpt2'"),
        ("tokenizer.ggml.pre", "deepseek-llm", "rule 'deepseek-llm', known are gpt-2, smollm"),
    ],
)
def test_another_tokenizer_is_refused(tmp_path, key, value, message):
    path = tiny_llama.write_gguf(tmp_path / "m.gguf", metadata={key: value})
    with pytest.raises(ExportError, match=message):
        read_tokenizer(path)


def test_an_answer_ends_as_the_template_ends_it(tmp_path):
    assert end_of_turn(tiny_llama.write_gguf(tmp_path / "m.gguf")) == 2
    template = tiny_llama.TEMPLATE.replace("<|im_end|>", "<|endoftext|>")
    assert end_of_turn(tiny_llama.write_gguf(tmp_path / "n.gguf", metadata={"tokenizer.chat_template": template})) == 0
    bare = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
    assert end_of_turn(tiny_llama.write_gguf(tmp_path / "o.gguf", metadata={"tokenizer.chat_template": bare})) == 2
