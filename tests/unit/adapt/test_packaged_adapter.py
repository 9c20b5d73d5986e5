"""The adapter that comes with loadsheet: over the base that comes with it, small, and complete."""

from loadsheet.adapt.adapter_folder import base_sha256, read_base_sha256
from loadsheet.engine.assets.image_folder import packaged_models
from loadsheet.engine.assets.packaged_adapters import packaged_adapters
from loadsheet.engine.image.lora_file import LORA_FILE, read_lora

FOLDER = packaged_adapters("emoji")["high-contrast"]


def test_it_was_trained_over_the_packaged_base() -> None:
    # an adapter is a difference: with other base weights, train it again
    assert read_base_sha256(FOLDER) == base_sha256(packaged_models() / "emoji")


def test_it_is_small_and_travels_with_its_papers() -> None:
    assert (FOLDER / LORA_FILE).stat().st_size < 1_500_000
    assert {layer.rank for layer in read_lora(FOLDER).layers.values()} == {4}
    assert "MIT License" in (FOLDER / "NOTICE").read_text()
    assert (FOLDER / "README.md").read_text().startswith("---\nlicense:")
