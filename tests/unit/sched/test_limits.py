import pytest

from loadsheet.errors import ConfigError
from loadsheet.sched.limits import ImageSize


@pytest.mark.parametrize(
    "name",
    ["num_blocks", "block_tokens", "max_context_tokens", "max_num_seqs", "max_waiting"],
)
def test_text_limits_are_positive(make, name):
    with pytest.raises(ConfigError, match=f"{name} of llm is 0; it must be at least 1"):
        make.text_limits(**{name: 0})


@pytest.mark.parametrize("name", ["max_batch", "max_steps", "max_waiting"])
def test_image_limits_are_positive(make, name):
    with pytest.raises(ConfigError, match=f"{name} of painter is -1"):
        make.image_limits(**{name: -1})


def test_an_image_model_offers_a_size(make):
    with pytest.raises(ConfigError, match="num_sizes of painter is 0"):
        make.image_limits(sizes=())
    with pytest.raises(ConfigError, match="width of an image size is 0"):
        ImageSize(width=0, height=64, state_bytes=1)


def test_a_device_has_a_lane(make):
    with pytest.raises(ConfigError, match="num_lanes of a device is 0"):
        make.device_limits(num_lanes=0)


def test_model_names_are_unique_within_a_kind(make):
    with pytest.raises(ConfigError, match="repeat"):
        make.device_limits(text=(make.text_limits(), make.text_limits()))
    make.device_limits(images=(make.image_limits(model="llm"),))  # another kind may share a name


def test_the_state_of_an_offered_size_is_known(make):
    assert make.image_limits().state_bytes(128, 128) == 400
    assert make.image_limits().state_bytes(128, 64) is None
