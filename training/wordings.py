"""How questions are worded: several ways for each kind. Knows words only.

The last ways of a kind are kept out of training, so that an evaluation can ask in words that the model never met.
"""

from collections.abc import Mapping

import numpy as np

_NUM_KEPT_BACK = 2

WORDINGS: Mapping[str, tuple[str, ...]] = {
    "describe": (
        "What is happening?", "Describe the video.", "What do you see?", "What is in the video?", "Describe what you see in one sentence.",
        "What is going on in this video?", "What does the video show?", "Describe the scene.", "Give a short description.", "What is shown here?",
        "What happens in the video?", "What can be seen?",
    ),
    "presence": (
        "Is there {thing}?", "Is there {thing} in the video?", "Do you see {thing}?", "Can you see {thing}?", "Does the video show {thing}?",
        "Is {thing} visible?", "Does {thing} appear in the video?", "Is {thing} in the picture?", "Tell me whether there is {thing}.",
        "Is {thing} shown in the video?", "Do we see {thing} here?",
    ),
    "naming": (
        "What object is this?", "What is this?", "What is the main object?", "Name the object in the video.", "What do you see in the middle?",
        "What kind of object is shown?", "Which object is it?", "What is the object in the video?", "What thing is this?", "Name the object.",
        "What is the main object in the video?", "Tell me what object this is.", "What object can you see?",
    ),
    "colour": (
        "What colour is the {thing}?", "What color is the {thing}?", "Which colour does the {thing} have?", "Tell me the colour of the {thing}.",
        "What is the colour of the {thing}?", "What is the color of the {thing}?", "Which color is the {thing}?", "The {thing} is of what colour?",
    ),
    "main colour": (
        "What is the main colour?", "What is the main color?", "Which colour is the picture mostly?", "What color do you see most?",
        "What is the dominant colour of the video?", "Which colour dominates?", "What is the most common colour?",
    ),
    "place": (
        "Where is this?", "Where does it take place?", "Where does this happen?", "What place is this?", "Where was the video taken?",
        "In what kind of place is this?", "What is the setting?", "Where are we?",
    ),
    "action": (
        "What is the {who} doing?", "What does the {who} do?", "What action does the {who} perform?", "Tell me what the {who} is doing.",
        "In one word, what is the {who} doing?", "What is the {who} up to?", "Which activity is the {who} doing?",
    ),
    "direction": (
        "Which way does it move?", "In which direction does the object move?", "Where is it moving to?", "Which direction is it going?",
        "Does it move left, right, up or down?", "What is the direction of the motion?", "Which way does the object go?",
        "Where does the object move?",
        "In what direction is it moving?", "To which side does it move?",
    ),
    "movement": (
        "Is anything moving?", "Does something move?", "Is there any motion?", "Does anything move in the video?", "Is something moving?",
        "Is there movement?", "Do you see any movement?", "Is anything in motion?",
    ),
    "stillness": (
        "Is it a still picture?", "Is everything still?", "Does everything stay in its place?", "Is the video still?", "Is the scene at rest?",
        "Is nothing moving?",
    ),
    "zoom": (
        "Does the camera zoom in or out?", "Which way does the camera zoom?", "Is the camera zooming in or out?", "How does the camera zoom?",
        "Is it a zoom in or a zoom out?", "Do we come closer or go away?",
    ),
    "scene change": (
        "Does the scene change?", "Is there a cut in the video?", "Does the video change to another scene?", "Is there a scene change?",
        "Does the picture change to something else?", "Are there two different scenes?", "Is there more than one scene?", "Does the scene switch?",
    ),
    "order": (
        "Which comes first, {first} or {second}?", "What is shown first, {first} or {second}?", "Which is seen first, {first} or {second}?",
        "What appears first, {first} or {second}?", "Which one comes first: {first} or {second}?", "Do we see {first} or {second} first?",
        "Is {first} or {second} shown first?",
    ),
    "order, last": (
        "Which comes last, {first} or {second}?", "What is shown last, {first} or {second}?", "Which is seen at the end, {first} or {second}?",
        "Which comes second, {first} or {second}?", "Which one comes last: {first} or {second}?", "Do we see {first} or {second} last?",
    ),
    "before": (
        "Is {first} shown before {second}?", "Does {first} come before {second}?", "Do we see {first} before {second}?",
        "Is {first} seen earlier than {second}?", "Does {first} appear before {second}?", "Is {first} first and {second} after it?",
    ),
    "after": (
        "Is {first} shown after {second}?", "Does {first} come after {second}?", "Do we see {first} after {second}?",
        "Is {first} seen later than {second}?", "Does {first} appear after {second}?",
    ),
    "first": (
        "What is shown first?", "What do you see first?", "What comes first?", "What is at the beginning of the video?", "How does the video begin?",
        "What is in the first scene?", "What is seen at the start?", "What does the video start with?",
    ),
    "last": (
        "What is shown last?", "What do you see last?", "What comes last?", "What is at the end of the video?", "How does the video end?",
        "What is in the last scene?", "What is seen at the end?", "What does the video end with?",
    ),
    "appearance": (
        "Does something appear or disappear?", "Does an object appear or disappear?", "Does a thing come or go?",
        "Does something come into view or vanish?", "Is something added or taken away?", "Does the object appear or disappear?",
    ),
    "counting": (
        "How many {things} are there?", "How many {things} do you see?", "Count the {things}.", "What is the number of {things}?",
        "How many {things} can be seen?", "How many {things} are in the video?",
    ),
    "unknowable": (
        "What is the person's name?", "Who is this?", "What time is it?", "What city is this?", "How old is the person?", "What are they saying?",
        "What will happen next?", "How much does it cost?", "What is the telephone number?", "What is the temperature?", "Who made this video?",
        "What is the man thinking?", "Which day of the week is it?", "What is the name of this street?", "Whose is it?",
        "What happened yesterday?", "How heavy is it?", "What sound does it make?", "Who is the owner?", "How far away is the sea?",
        "In which year was this filmed?", "Which country is this?", "What music is playing?", "What is the dog's name?",
    ),
}  # fmt: skip

UNKNOWABLE_KEPT_BACK = 4


class Wordings:
    """Draws a way to ask; `kept_back` draws from the ways that training leaves out."""

    def __init__(self, generator: np.random.Generator, *, kept_back: bool = False) -> None:
        self._generator, self._kept_back = generator, kept_back

    def ask(self, kind: str, **words: str) -> str:
        """Return a question of a kind of WORDINGS."""
        ways = WORDINGS[kind]
        place = len(ways) - (UNKNOWABLE_KEPT_BACK if kind == "unknowable" else _NUM_KEPT_BACK)
        chosen = ways[place:] if self._kept_back else ways[:place]
        return chosen[int(self._generator.integers(len(chosen)))].format(**words)
