"""The settings of every service that speaks HTTP."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from shared.http.server import MAX_CONNECTIONS
from shared.logs import Format
from shared.settings import Port
from shared.tokens.settings import VerifierSettings


def _origins(text: str) -> str:
    for origin in filter(None, text.split(",")):
        parts = urlsplit(origin)
        if parts.scheme not in ("http", "https") or origin != f"{parts.scheme}://{parts.netloc}" or not parts.netloc:
            raise ValueError("it must be a comma-separated list of origins, such as https://app.example.com")
    return text


class ServiceSettings(VerifierSettings):
    """Where to listen, and who may call."""

    host: Annotated[str, Field(min_length=1, description="Address to listen on")] = "127.0.0.1"
    port: Annotated[Port, Field(description="Port to listen on")]
    max_connections: Annotated[
        int, Field(ge=1, le=1_000_000, description="Maximum number of clients' connections; any more get 503")
    ] = MAX_CONNECTIONS
    lame_duck_seconds: Annotated[
        float,
        Field(
            ge=0,
            le=600,
            description="Seconds after SIGTERM in which readiness is 503, but requests are still answered",
        ),
    ] = 3.0
    metrics_port: Annotated[
        Port | None, Field(description="Port of GET /metrics for Prometheus; without it there are no metrics")
    ] = None
    cors_origins: Annotated[
        str, AfterValidator(_origins), Field(description="Origins whose pages may call from a browser, comma-separated")
    ] = ""
    docs: Annotated[bool, Field(description="Serve /docs, a page to read and try the API")] = True
    log_format: Annotated[Format, Field(description="json, or text for reading in a terminal")] = "json"
