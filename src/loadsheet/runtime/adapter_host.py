"""The seam to adapters that come and go while a device serves."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from loadsheet.errors import ConfigError
from loadsheet.runtime.model_card import ImageModelCard

SEPARATOR = ":"


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterRef:
    """An adapter's name and where its weights lie."""

    name: str
    folder: Path

    def __post_init__(self) -> None:
        if not self.name or SEPARATOR in self.name or self.name.strip() != self.name:
            raise ConfigError(
                f"an adapter is named {self.name!r}; give a name without {SEPARATOR!r} and spaces "
                "around it"
            )


class AdapterHost(Protocol):
    """Every method is thread-safe and may take as long as reading a file and one running step."""

    def load(self, model: str, adapter: AdapterRef) -> ImageModelCard:
        """From now on requests may wear it. The card's name is `model:adapter`.

        Raises AssetError or SpecError for a file that is not there or does not fit, ConfigError
        for a name in use, CapacityError when the memory budget would be exceeded.
        """
        ...

    def unload(self, card: ImageModelCard) -> None:
        """Forget it. BusyError while accepted images wear it."""
        ...
