import pytest

from loadsheet.cost.components import operators
from loadsheet.cost.shape import Grid, PictureShape, TokenShape, latent_grid
from loadsheet.errors import ConfigError
from loadsheet.specs.catalog import Catalog


@pytest.mark.parametrize(
    "fields", [{"tokens": 0, "context": 1}, {"tokens": 1, "context": 1, "batch": -2}]
)
def test_counts_are_positive(fields):
    with pytest.raises(ConfigError, match="≥ 1"):
        TokenShape(**fields)


def test_context_counts_the_new_tokens():
    with pytest.raises(ConfigError, match="context 3 counts the 4 new tokens"):
        TokenShape(tokens=4, context=3)


@pytest.mark.parametrize(
    "fields", [{"width": 0, "height": 8}, {"width": 8, "height": 8, "frames": 0}]
)
def test_pictures_have_a_size(fields):
    with pytest.raises(ConfigError, match="≥ 1"):
        PictureShape(**fields)


def test_text_tokens_may_be_none_but_not_negative():
    assert PictureShape(width=8, height=8).text_tokens == 0
    with pytest.raises(ConfigError, match="text_tokens is -1"):
        PictureShape(width=8, height=8, text_tokens=-1)


def test_a_size_between_tokens_names_its_neighbours():
    with pytest.raises(ConfigError, match=r"width 1000 is not a multiple of 16 .*992 and 1008"):
        latent_grid(PictureShape(width=1000, height=1024), 16)
    with pytest.raises(ConfigError, match="nearest: 16"):
        latent_grid(PictureShape(width=8, height=16), 16)


def test_grids_round_up_when_halved():
    half = Grid(batch=1, height=75, width=64).scaled(down=2)
    assert (half.height, half.width) == (38, 32)


def test_tokens_and_pixels_do_not_mix():
    catalog = Catalog()
    with pytest.raises(ConfigError, match="width and height, not tokens"):
        operators(catalog.component("sdxl", "denoiser"), TokenShape(tokens=1, context=1))
    with pytest.raises(ConfigError, match="tokens, not width and height"):
        operators(catalog.component("gpt2", "decoder"), PictureShape(width=8, height=8))


def test_video_frames_follow_the_first():
    component = Catalog().component("wan-2.1-t2v-1.3b", "vae_decode")
    with pytest.raises(
        ConfigError, match=r"frames 80 is not a multiple of 4 plus 1; nearest: 77, 81"
    ):
        operators(component, PictureShape(width=64, height=64, frames=80))


def test_cascade_sizes_are_checked():
    component = Catalog().component("stable-cascade-decoder", "denoiser")
    with pytest.raises(ConfigError, match="700x1000 makes a latent"):
        operators(component, PictureShape(width=700, height=1000))
