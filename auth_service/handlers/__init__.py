"""HTTP in, a call of a rule, HTTP out. No SQL, no crypto, no rules."""

from uuid import UUID

from aiohttp import hdrs, web

from auth_service.accounts import Accounts
from auth_service.model import Client
from auth_service.sessions import Sessions
from shared.client_address import client_address, network_of
from shared.errors import NotFound

ACCOUNTS = web.AppKey("accounts", Accounts)
SESSIONS = web.AppKey("sessions", Sessions)
TRUSTED_PROXIES = web.AppKey("trusted_proxies", int)

_DEVICE_CHARACTERS = 200


def client_of(request: web.Request) -> Client:
    """Who is asking, as far as the connection tells."""
    address = client_address(request, request.app[TRUSTED_PROXIES])
    agent = request.headers.get(hdrs.USER_AGENT, "")[:_DEVICE_CHARACTERS]
    device = "".join(character if character.isprintable() else "?" for character in agent)
    return Client(address, network_of(address), device)


def path_id(request: web.Request) -> UUID:
    """The id in the path.

    Raises:
        NotFound: it can't be one.
    """
    text = request.match_info["id"]
    try:
        found = UUID(text)
    except ValueError:
        found = None
    if found is None or str(found) != text:
        raise NotFound("There is nothing with this id: it must be a UUID in lower case")
    return found
