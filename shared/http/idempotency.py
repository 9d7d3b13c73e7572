"""The header Idempotency-Key, with which a client may send a request again whose answer was lost."""

import re
from collections.abc import Sequence

from shared.http.errors import HeaderInvalid
from shared.http.routes import RequestHeader

NAME = "Idempotency-Key"

_PATTERN = r"[\x21-\x7e]{1,255}"


def header(description: str) -> RequestHeader[str | None]:
    """Make the header for a route; the handler gets the key, or None without one."""
    return RequestHeader(NAME, description, _PATTERN, "8e03978e-40d5-43e8-bc93-6894a57f9324", _read)


def _read(values: Sequence[str]) -> str | None:
    if not values:
        return None
    if len(values) > 1 or not re.fullmatch(_PATTERN, values[0]):
        raise HeaderInvalid.of(NAME, "it must be one header of 1 to 255 visible ASCII characters")
    return values[0]
