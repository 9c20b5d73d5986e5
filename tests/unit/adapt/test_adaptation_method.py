"""Names of methods."""

import pytest

from loadsheet.adapt.adaptation_method import METHODS, parse_method
from loadsheet.errors import ConfigError


def test_every_listed_name_parses_to_itself() -> None:
    assert [parse_method(name).name for name in METHODS] == list(METHODS)


def test_what_a_lora_name_says() -> None:
    attention, both = parse_method("lora-r7-attention"), parse_method("lora-r7-attention-conv")
    assert (attention.kind, attention.rank) == ("lora", 7)
    assert set(attention.target_modules) == {"to_q", "to_k", "to_v", "to_out.0"}
    assert set(both.target_modules) > set(attention.target_modules)
    assert parse_method("full").target_modules == ()


@pytest.mark.parametrize("name", ["lora", "lora-r0-attention", "lora-r4-conv", "Full", ""])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="give full, scratch, lora-r<rank>-attention"):
        parse_method(name)


def test_a_rank_above_the_limit_is_refused() -> None:
    with pytest.raises(ConfigError, match="rank is 300; give 1 to 256"):
        parse_method("lora-r300-attention")
