"""When an answer counts as right, and when as saying that there is none. Knows words only.

Case, marks and a leading article do not count. A yes or no may go on ("Yes, there is one."): its first word counts.
"""

import re

_ARTICLES = {"a", "an", "the"}
_YES_NO = {"yes", "no"}
_DECLINING = ("i cannot", "i can't", "i do not know", "i don't know", "there is no", "there are no", "unknown")


def normalize(text: str) -> str:
    """Return the words of `text`, lower case, without marks and without a leading article; of a yes or no that goes on, its first word."""
    words = words_of(text)
    if words and words[0] in _YES_NO:
        return words[0]
    return " ".join(words[1:] if len(words) > 1 and words[0] in _ARTICLES else words)


def words_of(text: str) -> list[str]:
    """Return the words of `text`, lower case, without marks."""
    words: list[str] = re.findall(r"[\w']+", text.lower())
    return words


def is_right(answer: str, accepted: tuple[str, ...]) -> bool:
    """Whether `answer` says one of the accepted ones."""
    return normalize(answer) in {normalize(one) for one in accepted}


def declines(answer: str) -> bool:
    """Whether `answer` says that it does not know, or that what was asked about is not there."""
    return bool(re.match(rf"(?:{'|'.join(_DECLINING)})\b", " ".join(words_of(answer))))


def is_yes_no(accepted: tuple[str, ...]) -> bool:
    """Whether yes or no is what a question with these accepted answers asks for."""
    return any(normalize(answer) in _YES_NO for answer in accepted)
