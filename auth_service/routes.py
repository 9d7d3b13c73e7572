"""Every address of the auth service, and who may use it."""

from auth_service.handlers import accounts, sessions
from shared.routes import PUBLIC, SIGNED_IN, Route

ROUTES = (
    Route("POST", "/register", accounts.register, PUBLIC),
    Route("POST", "/login", sessions.login, PUBLIC),
    Route("GET", "/me", accounts.me, SIGNED_IN),
)
