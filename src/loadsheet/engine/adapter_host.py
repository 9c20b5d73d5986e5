"""Loads and unloads adapters of the image engines, and keeps the ledger of what they weigh."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace

from loadsheet.cost.ledger import Ledger, LedgerLine, Owner
from loadsheet.engine.image.image_engine import ImageEngine
from loadsheet.errors import CapacityError, ConfigError
from loadsheet.runtime.adapter_host import SEPARATOR, AdapterRef
from loadsheet.runtime.model_card import ImageAdapter, ImageModelCard, ModelCard


class TorchAdapterHost:
    """An AdapterHost. `ledger` has a line for each adapter on board; `cards` are whole models."""

    def __init__(
        self,
        engines: Mapping[str, ImageEngine],
        cards: Sequence[ModelCard],
        ledger: Ledger,
        memory_bytes: int | None,
    ) -> None:
        self.ledger = ledger
        self._engines = dict(engines)
        self._cards = {card.name: card for card in cards if isinstance(card, ImageModelCard)}
        self._memory_bytes = memory_bytes
        self._lock = threading.Lock()  # one load or unload at a time: the ledger must add up

    def load(self, model: str, adapter: AdapterRef) -> ImageModelCard:
        if model not in self._engines:
            served = ", ".join(self._engines) or "none"
            raise ConfigError(f"no image model {model!r} is served; served: {served}")
        name = f"{model}{SEPARATOR}{adapter.name}"
        engine = self._engines[model]
        with self._lock:
            num_bytes = engine.load_adapter(adapter.name, adapter.folder)
            line = LedgerLine(owner=Owner.WEIGHTS, model=name, part="lora", num_bytes=num_bytes)
            ledger = Ledger(lines=(*self.ledger.lines, line))
            try:
                if self._memory_bytes is not None:
                    ledger.check(self._memory_bytes)
            except CapacityError:
                engine.unload_adapter(adapter.name)
                raise
            self.ledger = ledger
        fact = ImageAdapter(base=model, name=adapter.name, num_bytes=num_bytes)
        return replace(self._cards[model], name=name, adapter=fact)

    def unload(self, card: ImageModelCard) -> None:
        if card.adapter is None:
            raise ConfigError(f"{card.name} is a whole model, no adapter")
        with self._lock:
            self._engines[card.adapter.base].unload_adapter(card.adapter.name)
            self.ledger = Ledger(
                lines=tuple(line for line in self.ledger.lines if line.model != card.name)
            )
