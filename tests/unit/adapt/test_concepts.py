"""What is kept, what is dropped, and the names emoji go by."""

import pytest

from loadsheet.adapt.concepts import (
    COMMON_NAMES,
    COMMON_WEIGHT,
    GROUP_WEIGHTS,
    SIMPLE_NAMES,
    select,
    slug,
)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("red apple", "red-apple"),
        ("jack-o-lantern", "jack-o-lantern"),
        ("woman’s boot", "womans-boot"),
        ("piñata", "pinata"),
        ("T-Rex", "t-rex"),
        ("ON! arrow", "on-arrow"),
    ],
)
def test_slug(name, expected):
    assert slug(name) == expected


def chosen(*rows):
    table = {str(i): {"name": name, "group": group} for i, (name, group) in enumerate(rows)}
    return select(table, {})


def test_flags_and_near_duplicates_are_dropped():
    kept = chosen(
        ("flag Chad", "Flags"),
        ("man cook", "People & Body"),
        ("person walking", "People & Body"),
        ("keycap 3", "Symbols"),
        ("one o’clock", "Travel & Places"),
        ("waving hand", "People & Body"),
        ("manta", "Animals & Nature"),
    )
    assert [concept.name for concept in kept] == ["waving hand", "manta"]


def test_common_objects_weigh_more_than_their_group():
    apple, mango = chosen(("red apple", "Food & Drink"), ("mango", "Food & Drink"))
    assert apple.weight == COMMON_WEIGHT
    assert mango.weight == GROUP_WEIGHTS["Food & Drink"] < COMMON_WEIGHT


def test_names_are_single_spaced():
    assert "ice cream" in COMMON_NAMES
    assert all(name == " ".join(name.split()) for name in COMMON_NAMES)


def test_keywords_are_plain_and_never_name_another_concept():
    table = {
        "1": {"name": "poodle", "group": "Animals & Nature"},
        "2": {"name": "dog", "group": "Animals & Nature"},
        "3": {"name": "automobile", "group": "Travel & Places"},
    }
    poodle, _, car = select(table, {"1": ["dog", ":D", "101", "curly_hair"], "3": ["car", "red"]})
    assert poodle.keywords == ("curly hair",)
    assert car.keywords == ("red",)
    assert car.simple_name == "car" == SIMPLE_NAMES["automobile"]
    assert poodle.simple_name == "poodle"
