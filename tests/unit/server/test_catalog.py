"""Lookup of models by name and kind."""

from dataclasses import replace

import pytest

from loadsheet.errors import ConfigError
from loadsheet.server.catalog import ModelCatalog
from loadsheet.server.errors import ApiError


def test_listing(catalog):
    listing = catalog.describe_all()
    assert [model["id"] for model in listing["data"]] == ["talker", "painter"]
    text, image = listing["data"]
    assert (text["kind"], text["max_model_len"], text["created"]) == ("text", 100, 1_700_000_000)
    assert (image["kind"], image["sizes"]) == ("image", ["64x64", "96x64"])


def test_one_model(catalog):
    assert catalog.describe("painter")["object"] == "model"


@pytest.mark.parametrize(
    ("name", "hint"), [("tolker", "did you mean 'talker'?"), ("zzz", "served: talker, painter")]
)
def test_an_unknown_name_gets_the_nearest(catalog, name, hint):
    with pytest.raises(ApiError) as caught:
        catalog.text(name)
    error = caught.value
    assert (error.status, error.code, error.param) == (404, "model_not_found", "model")
    assert hint in error.message


def test_the_wrong_kind_names_the_right_ones(catalog):
    with pytest.raises(ApiError, match="use talker") as caught:
        catalog.text("painter")
    assert caught.value.code == "wrong_model_kind"


def test_no_model_of_that_kind(catalog):
    only_image = ModelCatalog(catalog.cards()[1:], created=0)
    with pytest.raises(ApiError, match="no model of this kind"):
        only_image.text(None)
    with pytest.raises(ApiError, match="no model served here does"):
        only_image.text("painter")


def test_two_of_a_kind_must_be_named(catalog, image_twin):
    twins = ModelCatalog((*catalog.cards(), image_twin), created=0)
    with pytest.raises(ApiError, match="painter, sketcher") as caught:
        twins.image(None)
    assert caught.value.code == "missing_required_parameter"


def test_names_must_differ(catalog):
    with pytest.raises(ConfigError, match="share a name"):
        ModelCatalog((*catalog.cards(), catalog.cards()[0]), created=0)


@pytest.fixture
def image_twin(catalog):
    return replace(catalog.image("painter"), name="sketcher")
