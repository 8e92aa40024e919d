"""Streaming tokens into text without broken characters.

A token of byte-level BPE is a run of bytes that may begin or end inside a character; a token of SentencePiece with byte fallback (the Llama family)
is text, with a mark for each space, or one byte. Bytes of an unfinished character are held back until it is finished or cannot be any more; what is
invalid becomes U+FFFD, as in decoding the whole. Knows the tokenizer; does not know the decoder.
"""

import codecs
import re

from tokenizers import Tokenizer, decoders

from redvillm.errors import BundleFileError


def _byte_alphabet() -> dict[str, int]:
    """Character -> byte, as GPT-2's byte-level BPE writes them: printable bytes as they are, the others from U+0100 on in order."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = (byte for byte in range(256) if byte not in printable)
    return {chr(byte): byte for byte in printable} | {chr(0x100 + index): byte for index, byte in enumerate(others)}


_BYTES = _byte_alphabet()
_SPACE_MARK = "\u2581"
_BYTE_TOKEN = re.compile(r"<0x([0-9A-F]{2})>")


class Detokenizer:
    """Turns the tokens of one answer into text; special tokens give none."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        """Take a tokenizer of byte-level BPE, or of SentencePiece with byte fallback.

        Raises:
            BundleFileError: the tokenizer is of another kind.
        """
        self._is_byte_level = isinstance(tokenizer.decoder, decoders.ByteLevel)
        if not self._is_byte_level and not _is_sentence_piece(tokenizer.decoder):
            raise BundleFileError("the tokenizer is neither byte-level BPE nor SentencePiece with byte fallback; export the bundle again")
        self._drops_space = not self._is_byte_level and tokenizer.decoder.decode([f"{_SPACE_MARK}a"]) == "a"
        self._tokenizer = tokenizer
        self._special_ids = {index for index, token in tokenizer.get_added_tokens_decoder().items() if token.special}
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def push(self, token_id: int) -> str:
        """Return the text that `token_id` completes, often its own; empty while a character is unfinished."""
        return self._decoder.decode(self._bytes(token_id))

    def flush(self) -> str:
        """Return what is still held back, after the last token."""
        return self._decoder.decode(b"", final=True)

    def _bytes(self, token_id: int) -> bytes:
        token = None if token_id in self._special_ids else self._tokenizer.id_to_token(token_id)
        if token is None:
            return b""
        if not self._is_byte_level:
            return self._bytes_of_piece(token)
        if all(character in _BYTES for character in token):
            return bytes(_BYTES[character] for character in token)
        return token.encode("utf-8")  # an added token is stored as plain text

    def _bytes_of_piece(self, token: str) -> bytes:
        if (byte := _BYTE_TOKEN.fullmatch(token)) is not None:
            self._drops_space = False
            return bytes([int(byte[1], 16)])
        text = token.replace(_SPACE_MARK, " ")
        if self._drops_space and text:  # the space that a text is begun with
            self._drops_space = False
            text = text.removeprefix(" ")
        return text.encode("utf-8")


def _is_sentence_piece(decoder: decoders.Decoder | None) -> bool:
    return decoder is not None and decoder.decode(["a", f"{_SPACE_MARK}b", "<0x43>"]) == "a bC"
