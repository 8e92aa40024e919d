"""One question with its answers, and the fixed answers of the recipe. Knows words only."""

from dataclasses import dataclass

YES, NO = "Yes.", "No."
CANNOT_TELL = "I cannot tell."
CANNOT_COUNT = "I cannot count them."


@dataclass(frozen=True)
class Exchange:
    """One question; any of the answers is right. `kind` groups exchanges in reports."""

    kind: str
    question: str
    answers: tuple[str, ...]


def yes_no(value: bool) -> str:
    """Return the answer to a yes/no question."""
    return YES if value else NO


def there_is_no(thing: str) -> str:
    """Say that a thing, which was asked about, is not there."""
    return f"There is no {thing}."


def indefinite(name: str) -> str:
    """Return a noun with its indefinite article; names that need none stay as they are."""
    if name[:1].isupper() or name.split(maxsplit=1)[0] in {"binoculars", "scissors", "headphones"}:
        return name
    return f"{'an' if name[:1] in 'aeiou' and not name.startswith(('eu', 'ewe')) else 'a'} {name}"


def sentence(text: str) -> str:
    """Return a text as a sentence: capital letter and full stop."""
    return f"{text[:1].upper()}{text[1:]}."
