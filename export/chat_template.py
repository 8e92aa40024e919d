"""The texts around the visual tokens, rendered once from a chat template.

Knows Jinja2 templates as Hugging Face uses them; does not know tokens. A template is a program from outside: it runs in a sandbox.
"""

from typing import Any

import jinja2
import jinja2.sandbox

from redvillm.errors import ExportError
from redvillm.manifest import PromptSpec

_VIDEO_MARK = "\x00video\x00"
_QUESTION_MARK = "\x00question\x00"


def text_prompt(chat_template: str, system: str, stop_token_ids: tuple[int, ...]) -> PromptSpec:
    """Return the prompt of a text LLM: the user turn is the visual tokens, a newline and the question; an empty `system` is left out.

    Raises:
        ExportError: the template cannot be rendered, or leaves out the video or the question.
    """
    return split_prompt(render(chat_template, video_messages(system)), stop_token_ids)


def video_messages(system: str) -> list[dict[str, str]]:
    """Return the messages whose rendering `split_prompt` takes apart."""
    user = {"role": "user", "content": f"{_VIDEO_MARK}\n{_QUESTION_MARK}"}
    return [{"role": "system", "content": system}, user] if system else [user]


def render(chat_template: str, messages: list[dict[str, Any]], **names: str) -> str:
    """Render a chat template up to where the answer begins; `names` are texts that it may use, such as bos_token.

    Raises:
        ExportError: the template cannot be rendered.
    """
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    try:
        return environment.from_string(chat_template).render(messages=messages, add_generation_prompt=True, **names)
    except Exception as error:  # a template can raise anything
        raise ExportError(f"the chat template cannot be rendered ({error}); give a checkpoint with a chat template") from None


def split_prompt(text: str, stop_token_ids: tuple[int, ...]) -> PromptSpec:
    """Return the prompt that a template has made of `video_messages`.

    Raises:
        ExportError: it leaves out the video or the question, or shows one twice.
    """
    if text.count(_VIDEO_MARK) != 1 or text.count(_QUESTION_MARK) != 1:
        raise ExportError("the chat template does not show the user's text once; give a checkpoint with another chat template")
    before, rest = text.split(_VIDEO_MARK)
    between, after = rest.split(_QUESTION_MARK)
    return PromptSpec(before=before, between=between, after=after, stop_token_ids=stop_token_ids)
