"""Questions and answers about a training clip: description, presence, naming, direction, movement and scene change.

Knows words only: it gets captions, a class name or a direction, and returns text. Several phrasings for each question.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

YES, NO = "Yes.", "No."
DESCRIBE = (
    "Describe the video.", "What is happening?", "What do you see?", "What is in the video?", "Describe what you see in one sentence.",
    "What is going on in this video?", "What does the video show?",
)  # fmt: skip
_PRESENCE = ("Is there {}?", "Is there {} in the video?", "Do you see {}?", "Can you see {}?", "Does the video show {}?")
_NAMING = ("What object is this?", "What is this?", "What is the main object?", "Name the object in the video.", "What do you see in the middle?")
_DIRECTION = ("Which way does it move?", "In which direction does the object move?", "Where is it moving to?")
_MOVEMENT = ("Is anything moving?", "Does something move?", "Is there any motion?")
_SCENE_CHANGE = ("Does the scene change?", "Is there a cut in the video?")

# What is asked for -> the words that mean it in a caption. Only things that captions name reliably.
CONCEPTS: Mapping[str, tuple[str, ...]] = {
    "a dog": ("dog", "dogs", "puppy", "puppies"),
    "a person": (
        "person", "people", "man", "men", "woman", "women", "boy", "boys", "girl", "girls", "child", "children", "kid", "kids", "lady", "guy",
        "baby", "toddler", "player", "players", "rider", "biker", "couple", "crowd", "someone", "skateboarder", "skier", "climber", "surfer",
        "snowboarder", "hiker", "swimmer", "cyclist", "ladies", "guys", "adult", "adults", "teenager", "family", "friends", "team", "group",
    ),
    "a man": ("man", "men", "guy", "guys", "male"),
    "a woman": ("woman", "women", "lady", "ladies", "female"),
    "a child": ("child", "children", "kid", "kids", "boy", "boys", "girl", "girls", "toddler", "baby", "babies"),
    "a boy": ("boy", "boys"),
    "a girl": ("girl", "girls"),
    "a group of people": ("people", "crowd", "group", "team", "men", "women", "children", "players", "girls", "boys", "kids"),
    "water": ("water", "ocean", "lake", "river", "pool", "sea", "wave", "waves", "surf", "stream", "waterfall", "swimming", "fountain", "pond"),
    "a swimming pool": ("pool",),
    "a beach": ("beach", "sand", "shore"),
    "grass": ("grass", "grassy", "lawn"),
    "snow": ("snow", "snowy", "ski", "skis", "skier", "snowboarder", "snowboard", "snowboarding", "skiing", "sled"),
    "a ball": ("ball", "soccer", "football", "basketball", "baseball", "tennis", "volleyball"),
    "a bicycle": ("bike", "bicycle", "biker", "bikes", "bicycles", "cyclist", "bmx", "biking", "bicyclist", "cyclists"),
    "a motorcycle": ("motorcycle", "motorbike", "motorcyclist", "motocross"),
    "a car": ("car", "cars", "truck", "van", "taxi", "jeep"),
    "a skateboard": ("skateboard", "skateboarder", "skateboarding", "skateboards"),
    "a mountain": ("mountain", "mountains", "cliff", "peak", "mountaintop"),
    "rocks": ("rock", "rocks", "rocky", "cliff", "boulder"),
    "a street": ("street", "road", "sidewalk", "crosswalk"),
    "a building": ("building", "buildings", "house", "city"),
    "trees": ("tree", "trees", "forest", "woods", "wooded"),
    "a boat": ("boat", "boats", "kayak", "canoe", "kayaker", "raft"),
    "a hat": ("hat", "cap", "helmet", "hats"),
    "a horse": ("horse", "horses"),
    "a swing": ("swing", "swings", "swinging"),
    "a table": ("table", "tables"),
    "a fence": ("fence",),
    "a stick": ("stick", "branch"),
    "sunglasses": ("sunglasses", "glasses", "goggles"),
    "a toy": ("toy", "toys", "frisbee"),
    "a field": ("field", "grassy", "meadow"),
    "someone running": ("running", "runs", "run", "races", "racing", "chasing", "chases"),
    "someone jumping": ("jumping", "jumps", "jump", "leaps", "leaping", "midair"),
    "someone swimming": ("swimming", "swims", "swim", "swimmer"),
    "someone climbing": ("climbing", "climbs", "climber", "climb"),
    "someone sitting": ("sitting", "sits", "sit", "seated"),
    "someone riding": ("riding", "rides", "ride", "rider"),
    "something red": ("red",),
    "something blue": ("blue",),
    "something yellow": ("yellow",),
    "something green": ("green", "grass", "grassy"),
    "something orange": ("orange",),
    "something pink": ("pink",),
}  # fmt: skip


@dataclass(frozen=True)
class Exchange:
    """One question with its answer; `kind` groups exchanges in reports."""

    kind: str
    question: str
    answer: str


def concepts_in(captions: Sequence[str]) -> frozenset[str]:
    """Return the concepts that any of the captions names."""
    words = set(re.findall(r"[a-z]+", " ".join(captions).lower()))
    return frozenset(concept for concept, forms in CONCEPTS.items() if words.intersection(forms))


def with_article(name: str) -> str:
    """Return a noun with its indefinite article."""
    return f"{'an' if name[:1] in 'aeiou' else 'a'} {name}"


class QuestionMaker:
    """Draws phrasings with its own generator."""

    def __init__(self, generator: np.random.Generator) -> None:
        self._generator = generator

    def describe(self, captions: Sequence[str]) -> Exchange:
        """Ask for a description; the answer is one of the captions."""
        return Exchange("describe", self._pick(DESCRIBE), self._pick(captions))

    def presence(self, thing: str, *, present: bool) -> Exchange:
        """Ask whether a thing (with its article) is there."""
        return Exchange("presence", self._pick(_PRESENCE).format(thing), YES if present else NO)

    def naming(self, name: str) -> Exchange:
        """Ask for the name of the one object."""
        return Exchange("naming", self._pick(_NAMING), f"{with_article(name).capitalize()}.")

    def direction(self, direction: str) -> Exchange:
        """Ask where the object moves to; without a direction it does not move."""
        return Exchange("direction", self._pick(_DIRECTION), f"{direction.capitalize()}." if direction else "It does not move.")

    def movement(self, *, moving: bool) -> Exchange:
        """Ask whether anything moves."""
        return Exchange("movement", self._pick(_MOVEMENT), YES if moving else NO)

    def scene_change(self, *, changed: bool) -> Exchange:
        """Ask whether the scene changes."""
        return Exchange("scene change", self._pick(_SCENE_CHANGE), YES if changed else NO)

    def _pick(self, options: Sequence[str]) -> str:
        return options[int(self._generator.integers(len(options)))]
