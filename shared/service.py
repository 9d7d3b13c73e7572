"""What makes an aiohttp application one of ours: middleware order, limits, error answers, start, drain, stop."""

import asyncio
import logging
import os
import re
import sys
import time
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from http import HTTPStatus
from typing import Any

from aiohttp import hdrs, web
from aiohttp.typedefs import Middleware

from shared import bearer, cors, docs, errors, health, wire
from shared.database import ASKED, Database
from shared.errors import Problem, StartupError
from shared.metrics import Metrics
from shared.routes import PUBLIC, Handler, Route
from shared.settings import ServiceSettings
from shared.tokens import Verifier

DRAIN_SECONDS = 10.0
"""How long requests that are under way may take once the service is told to stop."""

KEEPALIVE_SECONDS = 75.0
"""How long a connection without a request is kept open."""

Clock = Callable[[], float]
"""Gives the time in seconds since the epoch."""

CLOCK: web.AppKey[Clock] = web.AppKey("clock")
"""Where a handler finds the clock that token times go by."""

REQUEST_ID: web.RequestKey[str] = web.RequestKey("request_id", str)

_REQUEST_ID_FORM = re.compile(r"[A-Za-z0-9._-]{1,64}")

# longer than a UUID, and than any address of ours
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
    clock: Clock = time.time,
) -> web.Application:
    """Build the application: every request gets an id, an access check, an error body, a log line and a count.

    Health routes, the OpenAPI document and its page are added. While it serves, the key file is watched, the database
    open, and metrics are answered.

    Args:
        settings: Where metrics are answered, whose pages may call, and whether there is /docs.
        verifier: Decides about tokens; its audience is also the realm of the challenges, and the service's name.
        routes: The whole table of this service.
        body_limit: Bytes of a request body above which it is refused unread.
        description: What the service does, for its OpenAPI document.
        database: The service's own, if it has one.
        clock: Seconds since the epoch; what token times are compared with.

    Raises:
        StartupError: /docs is wanted, and its files are not installed.
    """
    wire.install()
    origins = frozenset(filter(None, settings.cors_origins.split(",")))
    table = [*routes, *health.routes(verifier.keyring, database)]
    table += docs.routes(verifier.audience, description, table, page=settings.docs)
    table += tuple(_options(table, origins))
    metrics = Metrics(verifier.keyring)
    app = web.Application(
        # the outermost comes first: an error of the access check gets its body and its log line too
        middlewares=[_envelope(verifier.audience, metrics), bearer.middleware(verifier, table, clock)],
        client_max_size=body_limit,
    )
    for route in table:
        if route.method == hdrs.METH_GET:
            app.router.add_get(route.path, route.handler)  # and HEAD
        else:
            app.router.add_route(route.method, route.path, route.handler)
    app[CLOCK] = clock
    app.on_response_prepare.append(_finish_headers(origins))
    app.cleanup_ctx.append(verifier.keyring.lifespan)
    if database is not None:
        app.cleanup_ctx.append(database.lifespan)
    app.cleanup_ctx.append(metrics.lifespan(settings.host, settings.metrics_port))
    return app


def run(app: web.Application, settings: ServiceSettings) -> None:
    """Serve until SIGTERM or SIGINT, then let the requests that are under way finish.

    Raises:
        StartupError: the address can't be listened on, or a part of the application refused to start.
    """

    def announce(_: str) -> None:
        _log.info("listening on http://%s:%d", settings.host, settings.port)

    try:
        web.run_app(
            app,
            host=settings.host,
            port=settings.port,
            print=announce,
            access_log=None,  # the envelope writes one
            handler_cancellation=True,  # a client that left is not worked for; tests serve the same way
            shutdown_timeout=DRAIN_SECONDS,
            keepalive_timeout=KEEPALIVE_SECONDS,
            **wire.SERVER_OPTIONS,
        )
    except OSError as error:
        raise StartupError(
            f"cannot listen on {settings.host}:{settings.port} ({error.strerror}); set HOST and PORT"
        ) from None


def main(name: str, command: Callable[[], None]) -> None:
    """Run a command of a service: a StartupError becomes one line on standard error and exit status 1."""
    try:
        command()
    except StartupError as error:
        sys.exit(f"{name}: {error}")


def _envelope(realm: str, metrics: Metrics) -> Middleware:
    @web.middleware
    async def envelope(request: web.Request, handler: Handler) -> web.StreamResponse:
        started = time.perf_counter()
        request_id = request[REQUEST_ID] = _request_id(request)
        ASKED.set(False)  # the requests of a connection share a context
        try:
            if wire.UNUSABLE in request:
                raise errors.RequestMalformed("The address in the request line can't be understood")
            response = await handler(request)
        except asyncio.CancelledError:
            _access(request, "cancelled", time.perf_counter() - started, request_id)
            raise
        except Exception as error:  # noqa: BLE001  the outermost place: whatever it is, the client gets an answer
            response = _error_response(_as_problem(error, request), realm, request_id)
        seconds = time.perf_counter() - started
        metrics.count(request, response.status, seconds)
        _access(request, response.status, seconds, request_id)
        return response

    return envelope


def _request_id(request: web.Request) -> str:
    """Take the caller's id where it has a harmless form, so that one id follows a request through many services."""
    given = request.headers.get(wire.REQUEST_ID_HEADER, "")
    return given if _REQUEST_ID_FORM.fullmatch(given) else os.urandom(16).hex()


def _as_problem(error: Exception, request: web.Request) -> Problem:
    match error:
        case Problem():
            if error.status == errors.InternalError.status:
                _log.error("internal error", exc_info=error, extra={"request_id": request[REQUEST_ID]})
            return error
        case web.HTTPNotFound():
            return errors.NotFound("There is nothing at this address")
        case web.HTTPMethodNotAllowed():
            allowed = ", ".join(sorted(error.allowed_methods))
            return errors.MethodNotAllowed(
                f"This address does not take {error.method}, only {allowed}", headers={hdrs.ALLOW: allowed}
            )
        case web.HTTPRequestEntityTooLarge():
            return errors.BodyTooLarge(f"The body is larger than the {request.client_max_size} bytes accepted here")
        case web.RequestPayloadError():
            return errors.RequestMalformed("The body broke off, or is not framed as HTTP says")
        case web.HTTPException() if error.status < HTTPStatus.INTERNAL_SERVER_ERROR:
            return errors.RequestMalformed(f"The request can't be followed: {error.reason}")
        case _:
            _log.error("unexpected error", exc_info=error, extra={"request_id": request[REQUEST_ID]})
            return errors.InternalError(
                "Something failed on our side; the request may have had an effect or none",
                hint="Tell the operator the request_id: the log has the cause under it.",
            )


def _error_response(problem: Problem, realm: str, request_id: str) -> web.Response:
    answer = problem.render(request_id)
    headers: dict[str, Any] = dict(answer.headers)
    if challenge := bearer.challenge(problem, realm):
        headers[hdrs.WWW_AUTHENTICATE] = challenge
    return web.Response(status=answer.status, headers=headers, body=answer.body)


def _access(request: web.Request, status: int | str, seconds: float, request_id: str) -> None:
    claims = request.get(bearer.CLAIMS)
    # whoever puts a token into the path must not find it in the log
    path = _LONG_SEGMENT.sub("...", request.rel_url.raw_path)
    probe = path.startswith("/health/") and status == HTTPStatus.OK
    _access_log.log(
        logging.DEBUG if probe else logging.INFO,  # an orchestrator asks every few seconds
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
    """A row for OPTIONS at every address of the table."""
    for path in dict.fromkeys(route.path for route in table):
        methods = {hdrs.METH_OPTIONS, *(route.method for route in table if route.path == path)}
        if hdrs.METH_GET in methods:
            methods.add(hdrs.METH_HEAD)
        yield Route(hdrs.METH_OPTIONS, path, _preflight(", ".join(sorted(methods)), origins), PUBLIC)


def _preflight(allowed: str, origins: Collection[str]) -> Handler:
    async def options(request: web.Request) -> web.Response:
        return cors.preflight(request, allowed, origins)

    return options


def _finish_headers(origins: Collection[str]) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    async def finish(request: web.Request, response: web.StreamResponse) -> None:
        await wire.without_name(request, response)
        if (request_id := request.get(REQUEST_ID)) is not None:
            response.headers[wire.REQUEST_ID_HEADER] = request_id
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers.update(cors.headers(request, origins, database_asked=ASKED.get()))

    return finish
