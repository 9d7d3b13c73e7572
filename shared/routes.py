"""What a row of a service's route table says: an address, who answers it, and who may ask."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

PUBLIC = "public"
"""Access for anyone: no token is looked at."""

SIGNED_IN = "signed-in"
"""Access for any valid token, whatever its scope."""

OPTIONAL = "optional"
"""Access for anyone, but a token that is sent must be valid."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Route:
    """One address; GET answers HEAD too. `access` is PUBLIC, OPTIONAL, SIGNED_IN, or the scope that is needed."""

    method: str
    path: str
    handler: Handler
    access: str

    def __post_init__(self) -> None:
        """Refuse a route that says nothing about access.

        Raises:
            ValueError: `access` is neither one of those above nor a scope like "posts:read".
        """
        if self.access not in (PUBLIC, OPTIONAL, SIGNED_IN) and ":" not in self.access:
            raise ValueError(f"{self.method} {self.path}: give it a scope, SIGNED_IN or PUBLIC")
