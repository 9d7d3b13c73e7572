"""Every address of the auth service, and who may use it."""

from auth_service.handlers import accounts, sessions, users
from auth_service.model import ADMINISTER
from shared.routes import OPTIONAL, PUBLIC, SIGNED_IN, Route

ROUTES = (
    Route("POST", "/register", accounts.register, PUBLIC),
    Route("POST", "/login", sessions.login, PUBLIC),
    Route("POST", "/refresh", sessions.refresh, PUBLIC),
    Route("POST", "/logout", sessions.logout, OPTIONAL),
    Route("GET", "/me", accounts.me, SIGNED_IN),
    Route("PATCH", "/me", accounts.rename, SIGNED_IN),
    Route("DELETE", "/me", accounts.delete, SIGNED_IN),
    Route("POST", "/me/password", accounts.change_password, SIGNED_IN),
    Route("GET", "/sessions", sessions.everywhere, SIGNED_IN),
    Route("DELETE", "/sessions", sessions.end_all, SIGNED_IN),
    Route("DELETE", "/sessions/{id}", sessions.end, SIGNED_IN),
    Route("GET", "/users", users.page, ADMINISTER),
    Route("GET", "/users/{id}", users.show, ADMINISTER),
    Route("PATCH", "/users/{id}", users.change, ADMINISTER),
)
