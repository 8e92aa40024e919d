"""The prompt: before | visual tokens | between, question, after, as token ids on both sides of the visual tokens.

Training, export and runtime share this one definition, so that a model always sees the prompt it was trained with.
Knows the tokenizer and the texts of the manifest; does not know chat templates, embeddings, the decoder or the KV cache.
"""

from pathlib import Path

from tokenizers import AddedToken, Tokenizer

from redvillm.errors import BundleFileError, QuestionError
from redvillm.manifest import PromptSpec

MAX_QUESTION_CHARS = 8000
_VIDEO_MARK = "<|redvillm_visual_tokens|>"


class Prompt:
    """Token ids around the visual tokens: `prefix_ids` | visual tokens | `suffix_ids(question)`.

    The whole prompt is encoded at once, with one special token in the place of the visual tokens, as the Image LLM's own processor does it: tokens
    at the seams are the same. Special tokens that occur in a question are read as plain text, so that a question cannot close its own turn.
    """

    def __init__(self, tokenizer_json: str, spec: PromptSpec) -> None:
        """Prepare the tokenizer (tokenizer.json of Hugging Face) for the texts of `spec`.

        Raises:
            BundleFileError: the tokenizer is not usable.
        """
        try:
            self.tokenizer = Tokenizer.from_str(tokenizer_json)
        except Exception as error:  # the library raises a bare Exception
            raise BundleFileError(f"the tokenizer cannot be read ({error}); export the bundle again") from None
        self.tokenizer.add_special_tokens([AddedToken(_VIDEO_MARK, special=True, normalized=False)])
        self._mark_id = int(self.tokenizer.token_to_id(_VIDEO_MARK) or 0)
        self._special_texts = tuple(token.content for token in self.tokenizer.get_added_tokens_decoder().values() if token.special)
        self._tokenizer_json, self._spec = tokenizer_json, spec
        self.prefix_ids: tuple[int, ...] = self._encode(spec.between + spec.after)[0]

    @classmethod
    def from_file(cls, tokenizer: Path, spec: PromptSpec) -> "Prompt":
        """Read tokenizer.json (UTF-8) and build the prompt.

        Raises:
            BundleFileError: it is not usable.
        """
        try:
            text = tokenizer.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            raise BundleFileError(f"{tokenizer.name} is not UTF-8 text; export the bundle again") from None
        except OSError as error:
            raise BundleFileError(f"{error.filename} cannot be read ({error.strerror}); export the bundle again") from None
        return cls(text, spec)

    def suffix_ids(self, question: str) -> tuple[int, ...]:
        """Return the token ids that follow the visual tokens, up to where the answer begins.

        Raises:
            QuestionError: the question is not text, empty, longer than MAX_QUESTION_CHARS or holds lone surrogates.
        """
        question = _checked(question)
        if not any(text in question for text in self._special_texts):
            return self._encode(self._spec.between + question + self._spec.after)[1]
        plain_tokenizer = Tokenizer.from_str(self._tokenizer_json)
        plain_tokenizer.encode_special_tokens = True
        plain = tuple(plain_tokenizer.encode(question, add_special_tokens=False).ids)
        between = self._encode(self._spec.between)[1]
        after = tuple(self.tokenizer.encode(self._spec.after, add_special_tokens=False).ids)
        return between + plain + after

    def _encode(self, text: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Token ids before the visual tokens, and those of `text` after them."""
        ids = self.tokenizer.encode(f"{self._spec.before}{_VIDEO_MARK}{text}", add_special_tokens=False).ids
        place = ids.index(self._mark_id)
        return tuple(ids[:place]), tuple(ids[place + 1 :])


def _checked(question: str) -> str:
    if not isinstance(question, str):
        raise QuestionError(f"a question is a {type(question).__name__}; give text")
    question = question.strip()
    if not question:
        raise QuestionError("the question is empty; ask something, for example 'What is happening?'")
    if len(question) > MAX_QUESTION_CHARS:
        raise QuestionError(f"the question has {len(question)} characters, at most {MAX_QUESTION_CHARS} are taken; shorten it")
    try:
        question.encode("utf-8")
    except UnicodeEncodeError:
        raise QuestionError("the question is not valid UTF-8 text; check the terminal's encoding") from None
    return question
