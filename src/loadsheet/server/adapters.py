"""`/v1/load_lora_adapter` and `/v1/unload_lora_adapter`, with vLLM's names and fields.

Off unless the operator names a folder that adapters may be loaded from: whoever may load weights
may change what the server draws and read files through it. A path outside that folder is refused
before anything is opened, symbolic links resolved.
"""

import asyncio
from http import HTTPStatus
from pathlib import Path
from typing import Annotated

from pydantic import Field

from loadsheet.errors import (
    AssetError,
    BusyError,
    CapacityError,
    ConfigError,
    LoadsheetError,
    SpecError,
)
from loadsheet.runtime.adapter_host import SEPARATOR, AdapterHost, AdapterRef
from loadsheet.server.body import Body, Text, parse
from loadsheet.server.catalog import ModelCatalog
from loadsheet.server.errors import ApiError, invalid

_Name = Annotated[Text, Field(min_length=1, max_length=200)]


class LoadBody(Body):
    """`lora_name`: `emoji:high-contrast`, or `high-contrast` with one image model."""

    lora_name: _Name
    lora_path: Annotated[Text, Field(min_length=1, max_length=4096)]


class UnloadBody(Body):
    lora_name: _Name


class AdapterDesk:
    """Loads and unloads on behalf of clients. Made for one app; lives on its event loop."""

    def __init__(
        self, catalog: ModelCatalog, host: AdapterHost | None, folder: Path | None
    ) -> None:
        self._catalog = catalog
        self._host = host
        self._folder = None if folder is None else folder.resolve()

    async def load(self, body: bytes) -> dict[str, object]:
        """The listing of the new model; ApiError for everything that stands in the way."""
        host, root = self._open()
        asked = parse(LoadBody, body)
        model, name = self._split(asked.lora_name)
        folder = _inside(root, asked.lora_path)
        try:
            ref = AdapterRef(name=name, folder=folder)
            card = await asyncio.to_thread(host.load, model, ref)
        except LoadsheetError as error:
            raise _refusal(error, "lora_path") from error
        self._catalog.add(card)
        return self._catalog.describe(card.name)

    async def unload(self, body: bytes) -> dict[str, object]:
        """What was unloaded. From the first moment new requests for it are refused."""
        host, _ = self._open()
        model, name = self._split(parse(UnloadBody, body).lora_name)
        card = self._catalog.adapter(f"{model}{SEPARATOR}{name}")
        self._catalog.remove(card.name)
        try:
            await asyncio.to_thread(host.unload, card)
        except LoadsheetError as error:
            self._catalog.add(card)
            raise _refusal(error, "lora_name") from error
        return {"object": "model", "id": card.name, "deleted": True}

    def _open(self) -> tuple[AdapterHost, Path]:
        if self._host is None or self._folder is None:
            raise ApiError(
                HTTPStatus.FORBIDDEN,
                "adapters_disabled",
                "this server loads no adapters at run time; its operator enables it with "
                "--adapter-folder FOLDER",
            )
        return self._host, self._folder

    def _split(self, lora_name: str) -> tuple[str, str]:
        """Model and adapter; the model may be left out where one image model is served."""
        model, separator, name = lora_name.rpartition(SEPARATOR)
        if not separator:
            return self._catalog.image(None).name, name
        return self._catalog.image(model).base, name


def _inside(root: Path, path: str) -> Path:
    folder = (root / path).resolve()
    if not folder.is_relative_to(root):
        raise invalid(
            "lora_path leaves the folder that adapters may be loaded from; name one inside it",
            "lora_path",
        )
    return folder


def _refusal(error: LoadsheetError, param: str) -> ApiError:
    match error:
        case BusyError():
            return ApiError(
                HTTPStatus.CONFLICT,
                "adapter_in_use",
                str(error),
                param=param,
                headers={"Retry-After": "1"},
            )
        case CapacityError():
            return invalid(str(error), param, "too_large")
        case AssetError() | SpecError() | ConfigError():
            return invalid(str(error), param)
    raise error
