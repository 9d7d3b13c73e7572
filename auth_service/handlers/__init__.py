"""HTTP in, one call to a rule, HTTP out. No SQL, no cryptography, no rules."""

from aiohttp import hdrs, web

from auth_service import schemas
from auth_service.accounts import Accounts
from auth_service.model import Client
from auth_service.sessions import Sessions, Tokens
from shared.http import body
from shared.http.client_address import client_address, networks_of

ACCOUNTS = web.AppKey("accounts", Accounts)
SESSIONS = web.AppKey("sessions", Sessions)
TRUSTED_PROXIES = web.AppKey("trusted_proxies", int)

_DEVICE_CHARACTERS = 200


def client_of(request: web.Request) -> Client:
    """Return who is calling, as far as the connection tells."""
    address = client_address(request, request.app[TRUSTED_PROXIES])
    agent = request.headers.get(hdrs.USER_AGENT, "")[:_DEVICE_CHARACTERS]
    device = "".join(character if character.isprintable() else "?" for character in agent)
    return Client(address, networks_of(address), device)


def tokens(given: Tokens) -> web.Response:
    """Answer with the tokens of a session."""
    signed = given.signed
    shown = schemas.Tokens(signed.access, signed.account, "Bearer", signed.expires_in, str(given.refresh), signed.scope)
    return body.response(schemas.TOKENS, shown)
