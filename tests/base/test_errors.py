"""redvillm.errors: one tree, drawn in its docstring as it is."""

import inspect
import re

import pytest

from redvillm import errors

CLASSES = [kind for _, kind in inspect.getmembers(errors, inspect.isclass)]


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_error_has_the_one_base_and_a_docstring(kind: type[Exception]):
    assert issubclass(kind, errors.RedvillmError)
    assert kind.__doc__


def test_the_tree_of_the_docstring_is_the_real_tree():
    drawn: dict[str, str] = {}
    stack: list[tuple[int, str]] = []
    for line in errors.__doc__.splitlines():
        if match := re.match(r"^([ |`-]*)(\w+Error)\b", line):
            depth = len(match[1])
            while stack and stack[-1][0] >= depth:
                stack.pop()
            drawn[match[2]] = stack[-1][1] if stack else "Exception"
            stack.append((depth, match[2]))
    assert drawn == {kind.__name__: kind.__bases__[0].__name__ for kind in CLASSES}


def test_options_errors_are_value_errors_too():
    assert issubclass(errors.OptionsError, ValueError)
    assert issubclass(errors.QuestionError, ValueError)
