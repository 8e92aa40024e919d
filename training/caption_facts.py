"""What captions say of a photo: things, place, action, colour. Knows words only.

A fact counts when at least two captions agree on it. A thing counts as absent when no caption names it nor a word that leaves it open: who is called
"person" may be a man.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from redvillm.training.concepts import CONCEPTS, OPEN_WORDS

MIN_AGREEING = 2

_PLACES: Mapping[str, str] = {
    "On the beach.": r"(on|at|along|down) (the|a) ([a-z]+ )?(beach|shore)|on (the )?sand",
    "In the snow.": r"(in|through|on|over|down) (the |a |some |deep )?([a-z]+ )?snow|snowy (hill|slope|mountain|field)",
    "In a pool.": r"(in|into|at|of) (a|the) ([a-z]+ )?pool|swimming pool",
    "In the water.": r"(in|through|into|on|across) (the |a |some )?([a-z]+ )?(water|ocean|lake|river|sea\b|waves?|surf)",
    "On the grass.": r"(in|on|through|over|across) (the |a |some )?([a-z]+ )?(grass|lawn|grassy field|field)",
    "On the street.": r"(on|down|in|along|across) (the |a )?([a-z]+ )?(street|road|sidewalk|crosswalk)",
    "In the woods.": r"(in|through) (the |a )?([a-z]+ )?(woods|forest|trees)",
    "In the mountains.": r"(on|up|of|in) (the |a )?([a-z]+ )?(mountains?|cliff|mountaintop|peak)|rock (wall|climb)",
    "Inside a room.": r"\b(couch|sofa|bed|indoors?|kitchen|living room|restaurant|carpet|bedroom|gym|bathtub)\b",
    "On a playground.": r"\b(playground|trampoline|swing set|slide)\b",
    "On a stage.": r"\b(stage|concert)\b",
}  # fmt: skip

_ACTIONS: Mapping[str, str] = {
    "Running.": r"\b(running|runs|races|racing|sprints)\b",
    "Jumping.": r"\b(jumping|jumps|leaps|leaping|midair|mid-air)\b",
    "Swimming.": r"\b(swimming|swims)\b",
    "Sitting.": r"\b(sitting|sits|seated)\b",
    "Standing.": r"\b(standing|stands)\b",
    "Walking.": r"\b(walking|walks|strolls)\b",
    "Climbing.": r"\b(climbing|climbs|scaling)\b",
    "Riding.": r"\b(riding|rides)\b",
    "Playing.": r"\b(playing|plays)\b",
    "Eating.": r"\b(eating|eats)\b",
    "Dancing.": r"\b(dancing|dances)\b",
    "Surfing.": r"\b(surfing|surfs)\b",
    "Skiing.": r"\b(skiing|skis)\b",
    "Swinging.": r"\b(swinging|swings)\b",
    "Lying down.": r"\b(lying|laying|lays|lies)\b",
}  # fmt: skip

ACTORS: Mapping[str, str] = {"dog": r"\bdogs?\b", "man": r"\bm[ae]n\b", "woman": r"\bwom[ae]n\b", "boy": r"\bboys?\b", "girl": r"\bgirls?\b"}


def words_in(captions: Sequence[str]) -> frozenset[str]:
    """Return the words of all captions, lower case."""
    return frozenset(re.findall(r"[a-z]+", " ".join(captions).lower()))


def present_things(captions: Sequence[str]) -> frozenset[str]:
    """Return the concepts that at least two captions name."""
    counts = Counter(concept for caption in captions for concept, forms in CONCEPTS.items() if words_in((caption,)).intersection(forms))
    return frozenset(concept for concept, count in counts.items() if count >= MIN_AGREEING)


def absent_things(captions: Sequence[str]) -> frozenset[str]:
    """Return the concepts that no caption names or leaves open."""
    words = words_in(captions)
    return frozenset(
        concept for concept, forms in CONCEPTS.items() if not words.intersection(forms) and not words.intersection(OPEN_WORDS.get(concept, ()))
    )


def place(captions: Sequence[str]) -> str:
    """Return the one place on which captions agree, as an answer; empty without such a one."""
    return _agreed(_PLACES, captions)


def action(captions: Sequence[str]) -> tuple[str, str]:
    """Return who acts and what they do, as an answer, when the captions agree on one actor and one action; else empty texts."""
    actor, done = _agreed(ACTORS, captions), _agreed(_ACTIONS, captions)
    return (actor, done) if actor and done else ("", "")


def _agreed(patterns: Mapping[str, str], captions: Sequence[str]) -> str:
    counts = {name: sum(bool(re.search(rf"\b(?:{pattern})", caption.lower())) for caption in captions) for name, pattern in patterns.items()}
    found = [name for name, count in counts.items() if count]
    return found[0] if len(found) == 1 and counts[found[0]] >= MIN_AGREEING else ""
