"""Which emoji the image model learns, how often each is shown, and the words that describe it.

Flags and skin tones never enter; of people only faces, hands and neutral figures stay, since their
hundreds of near-duplicates would eat the training budget. Plain single objects are shown most.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from loadsheet.adapt.icons import IconSet

GROUP_WEIGHTS = {
    "Food & Drink": 1.5,
    "Animals & Nature": 1.5,
    "Travel & Places": 1.0,
    "Objects": 0.8,
    "Activities": 0.8,
    "Smileys & Emotion": 0.8,
    "People & Body": 0.25,
    "Symbols": 0.15,
}
"""Sampling weight of a concept by Unicode group; a group that is not named is dropped."""

COMMON_WEIGHT = 4
MAX_KEYWORDS = 6
COMMON_NAMES = frozenset(
    " ".join(name.split())
    for name in """
    red apple; green apple; banana; lemon; strawberry; grapes; watermelon; pear; peach;
    cherries; pineapple; tomato; carrot; avocado; mushroom; bread; cheese wedge; hamburger;
    pizza; french fries; hot dog; taco; egg; doughnut; cookie; birthday cake; cupcake; ice
    cream; lollipop; hot beverage; beer mug; wine glass; dog face; dog; cat face; cat; mouse
    face; rabbit face; fox; bear; panda; koala; tiger face; lion; cow face; pig face; frog;
    monkey face; chicken; penguin; bird; duck; owl; horse; unicorn; elephant; turtle; snake;
    octopus; fish; tropical fish; dolphin; whale; shark; crab; butterfly; honeybee; lady beetle;
    snail; spider; sunflower; rose; tulip; cactus; palm tree; deciduous tree; evergreen tree;
    four leaf clover; house; castle; tent; automobile; taxi; bus; police car; fire engine;
    tractor; bicycle; motorcycle; airplane; helicopter; rocket; sailboat; locomotive; sun; full
    moon; crescent moon; star; cloud; rainbow; umbrella; snowman; fire; droplet; red heart; blue
    heart; soccer ball; basketball; tennis; trophy; wrapped gift; balloon; Christmas tree;
    guitar; drum; key; light bulb; closed book; books; alarm clock; camera; laptop; mobile
    phone; television; scissors; hammer; crown; glasses; sunglasses; t-shirt; hiking boot; teddy
    bear; robot; ghost; skull; grinning face; smiling face with sunglasses; crying face; angry
    face; thumbs up; snowflake; bomb; gem stone; bell; chair; door; envelope; globe showing
    Europe-Africa
    """.split(";")  # noqa: SIM905  a hundred names read better as prose
)
"""Everyday single objects, shown most often."""

SIMPLE_NAMES = {
    "automobile": "car",
    "deciduous tree": "tree",
    "red heart": "heart",
    "cat face": "cat",
    "dog face": "dog",
    "hot beverage": "cup of coffee",
    "locomotive": "train",
    "closed book": "book",
    "honeybee": "bee",
    "lady beetle": "ladybug",
    "mobile phone": "phone",
    "wrapped gift": "gift",
    "house with garden": "house",
    "grinning face": "smiley",
    "globe showing Europe-Africa": "earth",
    "hamburger": "burger",
    "red apple": "apple",
    "doughnut": "donut",
    "birthday cake": "cake",
    "airplane": "plane",
    "television": "tv",
    "gem stone": "diamond",
    "fire engine": "fire truck",
    "bicycle": "bike",
    "rabbit face": "rabbit",
    "tiger face": "tiger",
}
"""An everyday word for what Unicode names formally."""

DROPPED = re.compile(
    r"^(man|woman|men|women|family|kiss|couple|people|keycap|input|Mrs|Mx)\b"
    r"|\b(facing right|blood type|button|o’clock|-thirty|sign$|banknote|wheelchair|white cane)"
    r"|-thirty$|^(person|deaf|pregnant|older|speaking|bust)\b|square$|circle$|diamond$"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Concept:
    """One emoji to learn; `weight` is how often it is drawn relative to the others."""

    character: str
    name: str
    group: str
    weight: float
    keywords: tuple[str, ...] = ()

    @property
    def slug(self) -> str:
        return slug(self.name)

    @property
    def simple_name(self) -> str:
        return SIMPLE_NAMES.get(self.name, self.name)


def slug(name: str) -> str:
    """The name an Iconify emoji set gives an emoji: "jack-o-lantern", "womans-boot"."""
    ascii_name = unicodedata.normalize("NFKD", name.replace("’", "")).encode("ascii", "ignore")
    return re.sub(r"[^a-z0-9]+", "-", ascii_name.decode().lower()).strip("-")


def select(
    names: Mapping[str, Mapping[str, Any]], keywords: Mapping[str, Sequence[str]]
) -> list[Concept]:
    """The concepts worth learning, in table order. `names`: unicode-emoji-json's table."""
    kept = {
        character: row
        for character, row in names.items()
        if row["group"] in GROUP_WEIGHTS and not DROPPED.search(row["name"])
    }
    taken = {row["name"].lower() for row in kept.values()} | set(SIMPLE_NAMES.values())
    return [
        Concept(
            character=character,
            name=row["name"],
            group=row["group"],
            weight=_weight(row["name"], row["group"]),
            keywords=_usable_keywords(taken, keywords.get(character, ())),
        )
        for character, row in kept.items()
    ]


def drawn_in(concept: Concept, icons: IconSet) -> bool:
    """Whether the icon set has a picture of the concept."""
    return concept.slug in icons


def _weight(name: str, group: str) -> float:
    return COMMON_WEIGHT if name in COMMON_NAMES else GROUP_WEIGHTS[group]


def _usable_keywords(taken: Set[str], words: Sequence[str]) -> tuple[str, ...]:
    """Plain words that are not the name of a concept: a bare "dog" is always a dog."""
    plain = [word.replace("_", " ") for word in words if re.fullmatch(r"[a-z][a-z_]{2,20}", word)]
    return tuple(word for word in plain if word not in taken)[:MAX_KEYWORDS]
