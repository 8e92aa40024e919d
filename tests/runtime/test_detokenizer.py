import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from redvillm.errors import BundleFileError
from redvillm.runtime.detokenizer import Detokenizer


def make_tokenizer() -> Tokenizer:
    """Every byte, a few merges (one that ends inside an emoji), two special tokens and an added one with a space."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("h", "e"), ("ð", "Ł"), ("Ġ", "a")]
    vocabulary = {token: index for index, token in enumerate([*alphabet, *("".join(pair) for pair in merges)])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|end|>", "<|große|>"])
    tokenizer.add_tokens([AddedToken("two words é", normalized=False), AddedToken("plain", normalized=False)])
    return tokenizer


TOKENIZER = make_tokenizer()
SIZE = TOKENIZER.get_vocab_size()


def pieces_of(ids):
    detokenizer = Detokenizer(TOKENIZER)
    return [*(detokenizer.push(token_id) for token_id in ids), detokenizer.flush()]


@given(st.lists(st.integers(0, SIZE + 2), max_size=40))
@example(TOKENIZER.encode("\U0001f600").ids[:-1])
def test_pieces_of_any_tokens_add_up_to_the_decoded_whole(ids):
    """Broken UTF-8 and unknown ids included."""
    assert "".join(pieces_of(ids)) == TOKENIZER.decode(ids, skip_special_tokens=True)


@given(st.text(max_size=30))
def test_text_comes_back_and_no_piece_has_a_broken_character(text):
    text = text.replace("\ufffd", "")
    pieces = pieces_of(TOKENIZER.encode(text).ids)
    assert "".join(pieces) == text.replace("<|end|>", "").replace("<|große|>", "")
    assert not any("\ufffd" in piece for piece in pieces)


def test_an_emoji_is_held_back_until_it_is_whole():
    ids = TOKENIZER.encode("a\U0001f600b").ids
    assert [piece for piece in pieces_of(ids) if piece] == ["a", "\U0001f600", "b"]
    assert len(ids) > 4


def test_an_unfinished_character_is_shown_as_broken_at_the_end():
    ids = TOKENIZER.encode("é").ids
    assert pieces_of(ids[:1]) == ["", "\ufffd"]


def test_special_tokens_give_no_text():
    end = TOKENIZER.token_to_id("<|end|>")
    letters = TOKENIZER.encode("xy").ids
    assert pieces_of([letters[0], end, letters[1]]) == ["x", "", "y", ""]


def test_another_kind_of_tokenizer_is_refused():
    with pytest.raises(BundleFileError, match="neither byte-level BPE nor SentencePiece"):
        Detokenizer(Tokenizer(models.BPE()))


def make_sentence_piece(*, strip: bool) -> Tokenizer:
    """Letters, pieces with space marks and all bytes, as tokenizers of the Llama family have them."""
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "\u2581", "\u2581cat", "s", "\u2581\u2581", "é", "x\u2581y"]
    tokenizer = Tokenizer(models.BPE(vocab={piece: index for index, piece in enumerate(pieces)}, merges=[], unk_token="<unk>", byte_fallback=True))
    steps = [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), *([decoders.Strip(" ", 1, 0)] if strip else [])]
    tokenizer.decoder = decoders.Sequence(steps)
    tokenizer.add_special_tokens(["<s>", "</s>"])
    return tokenizer


@pytest.mark.parametrize("strip", [True, False])
@given(data=st.data())
def test_pieces_of_sentence_piece_add_up_to_the_decoded_whole(strip, data):
    """Of valid bytes: how many marks stand for broken ones is each decoder's own choice."""
    tokenizer = make_sentence_piece(strip=strip)
    words = data.draw(st.lists(st.sampled_from(["\u2581cat", "s", "\u2581", "\u2581\u2581", "é", "x\u2581y", "</s>", "BYTES"]), max_size=12))
    ids = []
    for word in words:
        characters = "ß\U0001f600".encode() if word == "BYTES" else None
        ids += [tokenizer.token_to_id(word)] if characters is None else [tokenizer.token_to_id(f"<0x{byte:02X}>") for byte in characters]
    detokenizer = Detokenizer(tokenizer)
    assert "".join([*(detokenizer.push(token_id) for token_id in ids), detokenizer.flush()]) == tokenizer.decode(ids, skip_special_tokens=True)
