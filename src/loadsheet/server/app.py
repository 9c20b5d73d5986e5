"""The ASGI app: routes to handlers, and one error shape for everything that goes wrong.

create_app(loop, cards, config) ──► FastAPI ──► serve(app, host=…, port=…)
"""

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.staticfiles import StaticFiles

from loadsheet import __version__
from loadsheet.runtime.adapter_host import AdapterHost
from loadsheet.runtime.model_card import ModelCard
from loadsheet.server.adapters import AdapterDesk
from loadsheet.server.catalog import ModelCatalog
from loadsheet.server.config import ServerConfig
from loadsheet.server.errors import ApiError, unavailable, unsupported
from loadsheet.server.gauges import LoopGauges
from loadsheet.server.guard import Guard, error_response
from loadsheet.server.prometheus import CONTENT_TYPE, Telemetry
from loadsheet.server.request_body import read_body
from loadsheet.server.service import Service
from loadsheet.server.serving_loop import ServingLoop
from loadsheet.server.status import server_load, status
from loadsheet.web import STATIC_DIR

_READ = ["GET", "HEAD"]  # bench tools probe with HEAD
_PAGE_HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:",
}


def create_app(
    loop: ServingLoop,
    cards: Sequence[ModelCard],
    config: ServerConfig,
    adapters: AdapterHost | None = None,
) -> FastAPI:
    """An app around a loop that already runs; raises ConfigError on clashing model names.

    `adapters` is what can load them, if clients may (`config.adapter_folder`).
    """
    catalog = ModelCatalog(cards, created=int(time.time()))
    telemetry = Telemetry(LoopGauges(loop))

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.service = Service(loop, catalog, config, telemetry)
        yield

    app = FastAPI(
        lifespan=lifespan, openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False
    )
    app.state.drain = loop.drain
    app.add_middleware(Guard, api_key=config.api_key)
    app.add_exception_handler(ApiError, _on_api_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
    _add_generation(app)
    _add_models(app, catalog)
    _add_adapters(app, AdapterDesk(catalog, adapters, config.adapter_folder), config)
    _add_operations(app, loop, telemetry)
    if config.is_page_served:
        _add_page(app)
    return app


def _add_generation(app: FastAPI) -> None:
    @app.post("/v1/chat/completions")
    async def chat(request: Request) -> Response:
        return await _service(app).chat(request)

    @app.post("/v1/completions")
    async def completion(request: Request) -> Response:
        return await _service(app).completion(request)

    @app.post("/v1/embeddings")
    async def embedding(request: Request) -> Response:
        return await _service(app).embedding(request)

    @app.post("/v1/classify")
    @app.post("/classify")
    async def classification(request: Request) -> Response:
        return await _service(app).classification(request)

    @app.post("/v1/images/generations")
    async def image(request: Request) -> Response:
        return await _service(app).image(request)

    @app.post("/v1/images/edits")
    @app.post("/v1/images/variations")
    async def edit() -> Response:
        raise unsupported("images cannot be edited here, only generated from a prompt", "image")


def _add_models(app: FastAPI, catalog: ModelCatalog) -> None:
    @app.api_route("/v1/models", methods=_READ)
    async def models() -> Response:
        return JSONResponse(catalog.describe_all())

    @app.api_route("/v1/models/{name:path}", methods=_READ)
    async def model(name: str) -> Response:
        return JSONResponse(catalog.describe(name))


def _add_adapters(app: FastAPI, desk: AdapterDesk, config: ServerConfig) -> None:
    @app.post("/v1/load_lora_adapter")
    async def load(request: Request) -> Response:
        return JSONResponse(
            await desk.load(await read_body(request.headers, request.receive, config))
        )

    @app.post("/v1/unload_lora_adapter")
    async def unload(request: Request) -> Response:
        body = await read_body(request.headers, request.receive, config)
        return JSONResponse(await desk.unload(body))


def _add_operations(app: FastAPI, loop: ServingLoop, telemetry: Telemetry) -> None:
    @app.api_route("/health", methods=_READ)
    @app.api_route("/ping", methods=[*_READ, "POST"])
    async def health() -> Response:
        snapshot = loop.snapshot()
        if not snapshot.is_alive:
            raise unavailable("the device loop has ended; restart the server", "engine_dead")
        if snapshot.is_draining:
            raise unavailable("the server is finishing its work before it exits", "draining")
        return Response()

    @app.api_route("/version", methods=_READ)
    async def version() -> Response:
        return JSONResponse({"version": __version__})

    @app.api_route("/load", methods=_READ)
    async def load() -> Response:
        return JSONResponse({"server_load": server_load(loop.snapshot())})

    @app.api_route("/metrics", methods=_READ)
    async def metrics() -> Response:
        return Response(telemetry.exposition(), media_type=CONTENT_TYPE)

    @app.api_route("/v1/loadsheet/status", methods=_READ)
    async def device_status() -> Response:
        return JSONResponse(status(loop))


def _add_page(app: FastAPI) -> None:
    app.mount("/assets", StaticFiles(directory=STATIC_DIR), name="assets")

    @app.api_route("/", methods=_READ)
    async def page() -> Response:
        return FileResponse(STATIC_DIR / "index.html", headers=_PAGE_HEADERS)


def _service(app: FastAPI) -> Service:
    service = app.state.service
    assert isinstance(service, Service)
    return service


async def _on_api_error(request: Request, error: Exception) -> Response:
    del request
    assert isinstance(error, ApiError)
    return error_response(error)


async def _on_http_exception(request: Request, error: Exception) -> Response:
    """Routing's own refusals, 404 and 405, in the common shape."""
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        message = f"there is no {request.method} {request.url.path[:200]} here"
        return error_response(ApiError(404, "unknown_url", message))
    return error_response(
        ApiError(
            error.status_code,
            "method_not_allowed" if error.status_code == 405 else "http_error",
            f"{request.method} {request.url.path[:200]}: {error.detail}",
            headers=error.headers,
        )
    )
