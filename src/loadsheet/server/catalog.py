"""The models this server holds: lookup by name, and their public description."""

from collections.abc import Sequence
from difflib import get_close_matches
from http import HTTPStatus

from loadsheet.errors import ConfigError
from loadsheet.runtime.model_card import (
    EncoderModelCard,
    ImageModelCard,
    ModelCard,
    TextModelCard,
)
from loadsheet.server.errors import ApiError, invalid


class ModelCatalog:
    """Cards by name. `created` is the Unix time that the listing gives for every model."""

    def __init__(self, cards: Sequence[ModelCard], *, created: int) -> None:
        self._cards = {card.name: card for card in cards}
        self._created = created
        if len(self._cards) < len(cards):
            names = ", ".join(card.name for card in cards)
            raise ConfigError(
                f"two models share a name ({names}); serve them under different names"
            )

    def add(self, card: ModelCard) -> None:
        """Serve one more; ApiError 409 when its name is taken."""
        if card.name in self._cards:
            message = f"a model named {card.name!r} is served already; choose another name"
            raise ApiError(HTTPStatus.CONFLICT, "model_exists", message, param="model")
        self._cards[card.name] = card

    def remove(self, name: str) -> None:
        """Requests that name it are refused from now on."""
        del self._cards[name]

    def adapter(self, name: str) -> ImageModelCard:
        """The card of a served adapter; raises ApiError for anything else."""
        card = self._named(name)
        if not isinstance(card, ImageModelCard) or card.adapter is None:
            raise invalid(f"{name!r} is a whole model, no adapter", "model", "wrong_model_kind")
        return card

    def cards(self) -> tuple[ModelCard, ...]:
        return tuple(self._cards.values())

    def text(self, name: str | None) -> TextModelCard:
        """The named text model, or the only one; raises ApiError for anything else."""
        served = [card for card in self._cards.values() if isinstance(card, TextModelCard)]
        card = self._named(name) if name is not None else _only(served)
        if not isinstance(card, TextModelCard):
            raise _wrong_kind(card.name, "writes no text", served)
        return card

    def image(self, name: str | None) -> ImageModelCard:
        """The named image model, or the only whole one; raises ApiError for anything else."""
        served = [card for card in self._cards.values() if isinstance(card, ImageModelCard)]
        whole = [card for card in served if card.adapter is None]
        card = self._named(name) if name is not None else _only(whole)
        if not isinstance(card, ImageModelCard):
            raise _wrong_kind(card.name, "draws no images", served)
        return card

    def embedding(self, name: str | None) -> EncoderModelCard:
        """The named encoder, or the only one; raises ApiError for anything else."""
        return self._encoder(name, "gives no embeddings", is_classifier=False)

    def classifier(self, name: str | None) -> EncoderModelCard:
        """The named classifier, or the only one; raises ApiError for anything else."""
        return self._encoder(name, "has no labels", is_classifier=True)

    def _encoder(self, name: str | None, what: str, *, is_classifier: bool) -> EncoderModelCard:
        served = [
            card
            for card in self._cards.values()
            if isinstance(card, EncoderModelCard) and bool(card.labels) is is_classifier
        ]
        card = self._named(name) if name is not None else _only(served)
        if not isinstance(card, EncoderModelCard) or bool(card.labels) is not is_classifier:
            raise _wrong_kind(card.name, what, served)
        return card

    def describe_all(self) -> dict[str, object]:
        return {"object": "list", "data": [self._describe(card) for card in self.cards()]}

    def describe(self, name: str) -> dict[str, object]:
        return self._describe(self._named(name))

    def _named(self, name: str) -> ModelCard:
        if name in self._cards:
            return self._cards[name]
        nearest = get_close_matches(name, self._cards, n=1, cutoff=0.5)
        hint = f"did you mean {nearest[0]!r}?" if nearest else f"served: {_names(self.cards())}"
        message = f"the model {name[:200]!r} is not served here; {hint}"
        raise ApiError(HTTPStatus.NOT_FOUND, "model_not_found", message, param="model")

    def _describe(self, card: ModelCard) -> dict[str, object]:
        public = {
            "id": card.name,
            "object": "model",
            "created": self._created,
            "owned_by": "loadsheet",
            "root": card.name,
            "parent": _parent(card),
        }
        if isinstance(card, TextModelCard):
            return public | _text_facts(card)
        if isinstance(card, EncoderModelCard):
            return public | _encoder_facts(card)
        return public | _facts(card)


def _text_facts(card: TextModelCard) -> dict[str, object]:
    return {
        "kind": "text",
        "max_model_len": card.max_context_tokens,
        "slo": {"ttft_s": card.slo.ttft_s, "tpot_s": card.slo.tpot_s},
    }


def _encoder_facts(card: EncoderModelCard) -> dict[str, object]:
    facts: dict[str, object] = {
        "kind": str(card.kind),
        "max_model_len": card.max_tokens,
        "slo": {"deadline_s": card.slo.deadline_s},
    }
    if card.labels:
        return facts | {"labels": list(card.labels)}
    return facts | {"embedding_size": card.embedding_size}


def _parent(card: ModelCard) -> str | None:
    """As vLLM lists them: an adapter names the model it is over."""
    if isinstance(card, ImageModelCard) and card.adapter is not None:
        return card.adapter.base
    return None


def _facts(card: ImageModelCard) -> dict[str, object]:
    return {
        "kind": "image",
        "sizes": [f"{width}x{height}" for width, height in card.sizes],
        "default_num_inference_steps": card.default_num_steps,
        "max_num_inference_steps": card.max_num_steps,
        "default_guidance_scale": card.default_guidance_scale,
        "slo": {"deadline_s": card.slo.deadline_s},
    } | ({} if card.adapter is None else {"adapter_bytes": card.adapter.num_bytes})


def _only(served: Sequence[ModelCard]) -> ModelCard:
    if len(served) == 1:
        return served[0]
    if not served:
        raise invalid("no model of this kind is served here", "model", "wrong_model_kind")
    message = f"name one of the models of this kind: {_names(served)}"
    raise invalid(message, "model", "missing_required_parameter")


def _wrong_kind(name: str, what: str, served: Sequence[ModelCard]) -> ApiError:
    instead = f"use {_names(served)}" if served else "no model served here does"
    return invalid(f"the model {name!r} {what}; {instead}", "model", "wrong_model_kind")


def _names(cards: Sequence[ModelCard]) -> str:
    return ", ".join(card.name for card in cards)
