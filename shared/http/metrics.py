"""What a service counts, in Prometheus's text format, on a port of its own that clients need not reach."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_1_0_0

from shared.http.protocol_errors import without_server_header
from shared.http.server import Runner
from shared.tokens.keyring import Keyring


class Metrics:
    """The metrics of one application. No label has a value that a client can choose."""

    def __init__(self, keyrings: Sequence[Keyring]) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "http_requests_total", "Requests answered", ["method", "route", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "http_request_duration_seconds", "Time to the answer", ["method", "route"], registry=self._registry
        )
        stale = Gauge(
            "keyring_stale",
            "1 while a key file can't be used and the previous keys are still in use",
            registry=self._registry,
        )
        stale.set_function(lambda: float(any(keyring.fault is not None for keyring in keyrings)))
        replaced = Gauge(
            "keyring_replaced",
            "1 while a key file has none of the keys that were in use before it changed",
            registry=self._registry,
        )
        replaced.set_function(lambda: float(any(keyring.replaced for keyring in keyrings)))

    def count(self, request: web.Request, status: int, seconds: float) -> None:
        """Count one answer."""
        resource = request.match_info.route.resource
        route = "none" if resource is None else resource.canonical
        method = request.method if resource is not None else "any"
        self._requests.labels(method, route, status).inc()
        self._seconds.labels(method, route).observe(seconds)

    @asynccontextmanager
    async def served(self, host: str, port: int | None) -> AsyncIterator[None]:
        """Answer GET /metrics on this port for the duration of the block; nowhere if it is None."""
        if port is None:
            yield
            return
        app = web.Application()
        app.router.add_get("/metrics", self._expose)
        app.on_response_prepare.append(without_server_header)
        runner = Runner(app)
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port).start()
            yield
        finally:
            await runner.cleanup()

    async def _expose(self, _: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE_PLAIN_1_0_0})
