"""Names of packaged adapters, and that each fits the base it is packaged beside."""

from pathlib import Path

import pytest

from loadsheet.engine.assets.packaged_adapters import packaged_adapters, split_adapter
from loadsheet.errors import SpecError


def test_folders_beside_the_model_are_its_adapters(tmp_path: Path) -> None:
    for name in ("emoji-bold", "emoji-thin", "other-x"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "pytorch_lora_weights.safetensors").touch()
    (tmp_path / "emoji-empty").mkdir()
    assert packaged_adapters("emoji", tmp_path) == {
        "bold": tmp_path / "emoji-bold",
        "thin": tmp_path / "emoji-thin",
    }


def test_a_name_with_a_colon_is_a_model_and_its_adapter() -> None:
    model, adapter = split_adapter("emoji:high-contrast")
    assert adapter is not None
    assert (model, adapter.name, adapter.folder.name) == (
        "emoji",
        "high-contrast",
        "emoji-high-contrast",
    )


@pytest.mark.parametrize("ref", ["emoji", "./folder", "org/name", "C:\\models\\sd15"])
def test_other_words_stay_as_they_are(ref: str) -> None:
    assert split_adapter(ref) == (ref, None)


def test_an_unknown_adapter_names_the_known_ones() -> None:
    with pytest.raises(SpecError, match="no adapter 'x'; it has emoji:high-contrast"):
        split_adapter("emoji:x")
