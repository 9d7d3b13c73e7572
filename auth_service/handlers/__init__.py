"""HTTP in, a call of a rule, HTTP out. No SQL, no crypto, no rules."""

from aiohttp import web

from auth_service.accounts import Accounts
from auth_service.sessions import Sessions

ACCOUNTS = web.AppKey("accounts", Accounts)
SESSIONS = web.AppKey("sessions", Sessions)
