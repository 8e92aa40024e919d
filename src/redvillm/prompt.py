"""The prompt: system | visual tokens | question, as token ids on both sides of the visual tokens.

Training, export and runtime share this one definition, so that a model always sees the prompt it was trained with.
Knows the chat template and the tokenizer; does not know embeddings, the decoder or the KV cache.
"""

from pathlib import Path

import jinja2
import jinja2.sandbox
from tokenizers import Tokenizer

from redvillm.errors import BundleFileError, QuestionError

MAX_QUESTION_CHARS = 8000
_VIDEO_MARK = "\x00video\x00"
_QUESTION_MARK = "\x00question\x00"


class Prompt:
    """Token ids around the visual tokens: `prefix_ids` | visual tokens | `suffix_ids(question)`.

    The user turn is the visual tokens, a newline and the question. Special tokens that occur in a question are read as plain text,
    so that a question cannot close its own turn.
    """

    def __init__(self, tokenizer_json: str, chat_template: str, system: str) -> None:
        """Render `chat_template` (Jinja2, with `messages` and `add_generation_prompt`, as in Hugging Face chat templates) once.

        Raises:
            BundleFileError: the tokenizer or the template is not usable.
        """
        try:
            self.tokenizer = Tokenizer.from_str(tokenizer_json)
            self._plain_tokenizer = Tokenizer.from_str(tokenizer_json)
        except Exception as error:  # the library raises a bare Exception
            raise BundleFileError(f"the tokenizer cannot be read ({error}); export the bundle again") from None
        self._plain_tokenizer.encode_special_tokens = True
        messages = [{"role": "system", "content": system}, {"role": "user", "content": f"{_VIDEO_MARK}\n{_QUESTION_MARK}"}]
        environment = jinja2.sandbox.ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        try:
            text = environment.from_string(chat_template).render(messages=messages, add_generation_prompt=True)
            before, rest = text.split(_VIDEO_MARK)
            between, after = rest.split(_QUESTION_MARK)
        except Exception as error:  # a template is a program and can raise anything
            raise BundleFileError(f"the chat template cannot be used ({error}); export the bundle again") from None
        self.prefix_ids: tuple[int, ...] = self._encode(before)
        self._between_ids = self._encode(between)
        self._after_ids = self._encode(after)

    @classmethod
    def from_files(cls, tokenizer: Path, chat_template: Path, system: str) -> "Prompt":
        """Read both files (UTF-8) and build the prompt.

        Raises:
            BundleFileError: one of them is not usable.
        """
        try:
            texts = tokenizer.read_text(encoding="utf-8"), chat_template.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            raise BundleFileError(f"{tokenizer.name} or {chat_template.name} is not UTF-8 text; export the bundle again") from None
        except OSError as error:
            raise BundleFileError(f"{error.filename} cannot be read ({error.strerror}); export the bundle again") from None
        return cls(*texts, system)

    def suffix_ids(self, question: str) -> tuple[int, ...]:
        """Return the token ids that follow the visual tokens, up to where the answer begins.

        Raises:
            QuestionError: the question is not text, empty, longer than MAX_QUESTION_CHARS or holds lone surrogates.
        """
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
        return self._between_ids + tuple(self._plain_tokenizer.encode(question, add_special_tokens=False).ids) + self._after_ids

    def _encode(self, text: str) -> tuple[int, ...]:
        return tuple(self.tokenizer.encode(text, add_special_tokens=False).ids)
