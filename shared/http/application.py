"""The application of a service: what surrounds every request, and what runs beside them."""

import asyncio
import logging
import os
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from http import HTTPStatus

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from shared.database.pool import DATABASE_USED, Database
from shared.errors import DomainError, InternalError, NotFound
from shared.http import bearer, body, cors, dispatch, docs, health, problems, protocol_errors
from shared.http.errors import BodyTooLarge, MethodNotAllowed, RequestMalformed
from shared.http.metrics import Metrics
from shared.http.routes import PUBLIC, ROUTE, Route
from shared.http.server import ONCE_LISTENING
from shared.http.settings import ServiceSettings
from shared.tokens.keyring import Keyring
from shared.tokens.verifier import Verifier

Clock = Callable[[], float]
"""Returns the time in seconds since the epoch."""

CLOCK: web.AppKey[Clock] = web.AppKey("clock")
"""Where a handler finds the clock for token times."""

REQUEST_ID: web.RequestKey[str] = web.RequestKey("request_id", str)

_REQUEST_ID_FORM = re.compile(r"[A-Za-z0-9._-]{1,64}")

# longer than a UUID, and than any other segment of our paths
_LONG_SEGMENT = re.compile(r"[^/]{41,}")

_access_log = logging.getLogger("access")
_log = logging.getLogger(__name__)


def application(
    settings: ServiceSettings,
    verifier: Verifier,
    routes: Sequence[Route],
    *,
    body_limit: int,
    description: str = "",
    database: Database | None = None,
    shared_keyring: Keyring | None = None,
    clock: Clock = time.time,
) -> web.Application:
    """Build a service's application; every request gets an id, an access check, an error body, a log line and a count.

    Health routes, the OpenAPI document and its page are added to the table. While the application is served, the key
    file is watched and metrics are answered. Once it listens, the database is opened.

    Args:
        settings: The metrics port, the CORS origins, and whether /docs exists.
        verifier: Decides about tokens. Its audience is the service's name, and the realm of challenges.
        routes: The service's route table.
        body_limit: The largest request body accepted, in bytes.
        description: What the service does, for its OpenAPI document.
        database: The service's database, if it has one.
        shared_keyring: The keys that other services verify with, if the verifier has other ones.
        clock: The clock for token times.

    Raises:
        StartupError: /docs is wanted, but its files are not installed.
    """
    origins = frozenset(filter(None, settings.cors_origins.split(",")))
    table = [*routes, *health.routes(verifier.keyring, shared_keyring, database)]
    table += docs.routes(verifier, description, table, page=settings.docs)
    table += tuple(_options(table, origins))
    keyrings = [verifier.keyring, *([shared_keyring] if shared_keyring is not None else [])]
    metrics = Metrics(keyrings)
    app = web.Application(middlewares=[_envelope(verifier.audience, metrics)], client_max_size=body_limit)
    for route in table:
        dispatch.register(app, route, verifier, clock)
    app[CLOCK] = clock
    app[body.ROOM] = body.Room()
    app.on_response_prepare.append(_finish_headers(origins))
    for keyring in keyrings:
        while_serving(app, keyring.watched)
    while_serving(app, lambda: metrics.served(settings.host, settings.metrics_port))
    app[ONCE_LISTENING] = []
    if database is not None:
        app[ONCE_LISTENING].append(database.open)
        app.on_cleanup.append(lambda _: database.close())  # after everything that runs beside the requests has ended
    return app


def while_serving(app: web.Application, context: Callable[[], AbstractAsyncContextManager[None]]) -> None:
    """Enter a context before the first request, and leave it after the last; contexts nest in the order given."""

    async def run(_: web.Application) -> AsyncIterator[None]:
        async with context():
            yield

    app.cleanup_ctx.append(run)


def _envelope(realm: str, metrics: Metrics) -> Middleware:
    """Build the middleware around every request, 404 and 405 included."""

    @web.middleware
    async def envelope(request: web.Request, handler: Handler) -> web.StreamResponse:
        started = time.perf_counter()
        request_id = request[REQUEST_ID] = _request_id(request)
        DATABASE_USED.set(False)  # requests on one connection share a context
        try:
            if protocol_errors.INVALID_URL in request:
                raise RequestMalformed("The URL in the request line is invalid")
            response = await handler(request)
        except asyncio.CancelledError:
            _log_access(request, "cancelled", time.perf_counter() - started, request_id)
            raise
        except Exception as error:  # noqa: BLE001  the outermost place: whatever it is, the client gets an answer
            answer = problems.answer(_domain_error(error, request), request_id, realm, request.get(ROUTE))
            response = web.Response(status=answer.status, headers=answer.headers, body=answer.body)
        seconds = time.perf_counter() - started
        metrics.count(request, response.status, seconds)
        _log_access(request, response.status, seconds, request_id)
        return response

    return envelope


def _request_id(request: web.Request) -> str:
    """Return the caller's id if it has a harmless form, so that one id follows a request through many services."""
    given = request.headers.get(protocol_errors.REQUEST_ID_HEADER, "")
    return given if _REQUEST_ID_FORM.fullmatch(given) else os.urandom(16).hex()


def _domain_error(error: Exception, request: web.Request) -> DomainError:
    match error:
        case DomainError():
            if isinstance(error, InternalError):
                _log.error("internal error", exc_info=error, extra={"request_id": request[REQUEST_ID]})
            return error
        case web.HTTPNotFound():
            return NotFound("There is nothing at this address")
        case web.HTTPMethodNotAllowed():
            allowed = ", ".join(sorted(error.allowed_methods))
            return MethodNotAllowed(f"This address accepts {allowed}, but not {error.method}", data={"allow": allowed})
        case web.HTTPRequestEntityTooLarge():
            return BodyTooLarge(f"The body is larger than the {request.client_max_size} bytes accepted here")
        case web.RequestPayloadError():
            return RequestMalformed("The body ended early, or its framing is not valid HTTP")
        case web.HTTPException() if error.status < HTTPStatus.INTERNAL_SERVER_ERROR:
            return RequestMalformed(f"The request can't be followed: {error.reason}")
        case _:
            _log.error("unexpected error", exc_info=error, extra={"request_id": request[REQUEST_ID]})
            return InternalError(
                "Something failed on our side; the request may or may not have taken effect",
                hint="Give the request_id to the operator, who finds the cause in the log.",
            )


def _log_access(request: web.Request, status: int | str, seconds: float, request_id: str) -> None:
    claims = request.get(bearer.CLAIMS)
    # a token that someone put into the path must not reach the log
    path = _LONG_SEGMENT.sub("...", request.rel_url.raw_path)
    probe = path.startswith("/health/") and status == HTTPStatus.OK
    _access_log.log(
        logging.DEBUG if probe else logging.INFO,  # an orchestrator probes every few seconds
        "%s %s %s",
        request.method,
        path,
        status,
        extra={
            "ms": round(seconds * 1000, 1),
            "request_id": request_id,
            **({"sub": str(claims.sub)} if claims else {}),
        },
    )


def _options(table: Sequence[Route], origins: Collection[str]) -> Iterator[Route]:
    """Yield an OPTIONS row for every address in the table."""
    for path in dict.fromkeys(route.path for route in table):
        methods = {hdrs.METH_OPTIONS, *(route.method for route in table if route.path == path)}
        if hdrs.METH_GET in methods:
            methods.add(hdrs.METH_HEAD)
        yield Route(hdrs.METH_OPTIONS, path, cors.preflight(", ".join(sorted(methods)), origins), PUBLIC)


def _finish_headers(origins: Collection[str]) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    async def finish(request: web.Request, response: web.StreamResponse) -> None:
        await protocol_errors.without_server_header(request, response)
        if (request_id := request.get(REQUEST_ID)) is not None:
            response.headers[protocol_errors.REQUEST_ID_HEADER] = request_id
        response.headers["X-Content-Type-Options"] = "nosniff"
        if (route := request.get(ROUTE)) is not None and route.private:
            response.headers[hdrs.CACHE_CONTROL] = "no-store"
        response.headers.update(cors.headers(request, origins, database_asked=DATABASE_USED.get()))

    return finish
