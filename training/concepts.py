"""Things that captions name reliably, with the words that mean them. Knows words only."""

from collections.abc import Mapping

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

_PEOPLE = (
    "person", "people", "player", "players", "rider", "biker", "couple", "crowd", "someone", "skateboarder", "skier", "climber", "surfer",
    "snowboarder", "hiker", "swimmer", "cyclist", "adult", "adults", "teenager", "family", "friends", "team", "group", "they", "others", "performer",
    "athlete", "runner", "worker", "dancer", "fan", "fans", "kayaker", "wrestlers", "skaters", "skater", "soldiers", "students", "tourists", "band",
)  # fmt: skip
_CHILDREN = CONCEPTS["a child"]

# Words that leave open whether the thing is there: with one of them in a caption, the thing is neither present nor absent.
OPEN_WORDS: Mapping[str, tuple[str, ...]] = {
    "a person": (*_PEOPLE, "male", "female", "babies"),
    "a man": _PEOPLE, "a woman": _PEOPLE, "a child": _PEOPLE, "a boy": (*_PEOPLE, *_CHILDREN), "a girl": (*_PEOPLE, *_CHILDREN),
    "a group of people": ("two", "three", "four", "five", "several", "many", "family", "couple", "they"),
    "water": ("beach", "boat", "kayak", "surfer", "wet", "puddle"), "a swimming pool": ("water", "swimming", "swims"),
    "a beach": ("ocean", "sea", "surf", "waves", "wave", "water"), "grass": ("field", "park", "yard", "lawn", "outside"),
    "a field": ("grass", "park", "yard"), "a mountain": ("hill", "rock", "rocks", "rocky", "hiker"), "rocks": ("mountain", "stone", "stones"),
    "a street": ("city", "sidewalk", "path", "car", "outside"), "a building": ("street", "road", "sidewalk", "wall", "store", "shop", "outside"),
    "trees": ("park", "branch", "leaves", "outside", "hill", "yard"), "a hat": ("wearing", "hood", "uniform"), "a toy": ("ball", "stick", "playing"),
    "a stick": ("wood", "log"), "a fence": ("yard", "wall", "gate"), "a table": ("desk", "restaurant", "eating"),
    "someone sitting": ("bench", "riding", "rides", "chair", "resting"), "someone running": ("playing", "plays", "soccer", "football", "game"),
    "something green": ("field", "trees", "park", "outdoors"),
}  # fmt: skip
