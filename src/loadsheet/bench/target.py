"""The server under load: where each kind of request goes, and which model answers it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from loadsheet.bench.http_client import HttpClient, Unreachable
from loadsheet.errors import ConfigError
from loadsheet.workload.request import RequestKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Base URLs without `/v1`; a model of None is left out of requests, for servers of one."""

    text_url: str
    image_url: str
    text_model: str | None = None
    image_model: str | None = None

    def url(self, kind: RequestKind) -> str:
        return self.text_url if kind is RequestKind.TEXT else self.image_url

    def model(self, kind: RequestKind) -> str | None:
        return self.text_model if kind is RequestKind.TEXT else self.image_model


def base_url(url: str) -> str:
    """`http://host:8000/v1/` and `host:8000` both become `http://host:8000`."""
    full = url if "://" in url else f"http://{url}"
    return full.rstrip("/").removesuffix("/v1")


async def with_models(client: HttpClient, target: Target, kinds: Sequence[RequestKind]) -> Target:
    """The target with a model for each of `kinds`; raises when a server cannot be reached.

    A listing that tells the kinds (`kind`, as loadsheet's does) or holds one model decides; two
    models that tell nothing need to be named by the user.
    """
    models = {
        kind: target.model(kind) or await _find_model(client, target.url(kind), kind)
        for kind in kinds
    }
    return Target(
        text_url=target.text_url,
        image_url=target.image_url,
        text_model=models.get(RequestKind.TEXT),
        image_model=models.get(RequestKind.IMAGE),
    )


async def server_version(client: HttpClient, url: str) -> str:
    """What `/version` says, empty where there is no such thing."""
    try:
        status, body = await client.get(f"{url}/version")
        return str(json.loads(body).get("version", "")) if status == 200 else ""
    except (Unreachable, ValueError, AttributeError):
        return ""


async def _find_model(client: HttpClient, url: str, kind: RequestKind) -> str | None:
    status, body = await client.get(f"{url}/v1/models")
    if status in (401, 403):
        raise ConfigError(f"{url} answers {status}; give its key with --api-key")
    try:
        cards = json.loads(body)["data"] if status == 200 else []
        told = [card["id"] for card in cards if card.get("kind") == kind.value]
        untold = [card["id"] for card in cards if "kind" not in card]
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    names = told or untold
    if len(names) > 1 and not told:
        raise ConfigError(
            f"{url} serves {', '.join(names)} and does not say which is for {kind.value}; "
            f"name it with --{kind.value}-model"
        )
    return names[0] if names else None
