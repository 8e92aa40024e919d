"""Chat templates become the texts around the visual tokens; what a template does wrong is an error in words."""

import pytest

from redvillm.errors import ExportError
from redvillm.export.chat_template import render, text_prompt

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def test_the_texts_around_video_and_question():
    spec = text_prompt(CHATML, "You watch.", (7, 9))
    assert spec.before == "<|im_start|>system\nYou watch.<|im_end|>\n<|im_start|>user\n"
    assert spec.between == "\n"
    assert spec.after == "<|im_end|>\n<|im_start|>assistant\n"
    assert spec.stop_token_ids == (7, 9)


def test_a_template_gets_the_texts_that_it_names():
    assert render("{{ bos_token }}{{ messages[0]['content'] }}", [{"role": "user", "content": "a"}], bos_token="<s>") == "<s>a"


@pytest.mark.parametrize(
    "template",
    [
        "",
        "{% for %}",
        "{{ messages[1]['content'] }}{{ messages[1]['content'] }}",
        "{{ 1 / 0 }}",
        "{{ messages.__class__.__mro__ }}",
        "{{ nothing.at.all }}",
    ],
)
def test_a_template_that_cannot_be_used(template: str):
    with pytest.raises(ExportError, match="chat template"):
        text_prompt(template, "", ())
