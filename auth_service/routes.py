"""Every route of the auth service: who may call it, what goes in and what comes out."""

from auth_service import schemas
from auth_service.errors import (
    AdminOnly,
    CredentialsInvalid,
    EmailTaken,
    LastAdmin,
    PasswordWrong,
    RefreshTokenInvalid,
    RefreshTokenReused,
    SessionEnded,
    TooManyAttempts,
)
from auth_service.handlers import accounts, sessions, users
from auth_service.model import ADMINISTER
from shared.errors import NotFound
from shared.http.routes import OPTIONAL, PUBLIC, SIGNED_IN, Reply, Route

_ACCOUNT = Reply(200, "The account", schemas.ACCOUNT)
_USER = Reply(200, "The user", schemas.USER)
_TOKENS = Reply(200, "Signed in", schemas.TOKENS, headers=(schemas.NO_STORE,))
_DONE = Reply(204, "Done")

ROUTES = (
    Route(
        "POST",
        "/register",
        accounts.register,
        PUBLIC,
        body=schemas.Registration,
        replies=(Reply(201, "The account was opened", schemas.ACCOUNT),),
        errors=(EmailTaken, TooManyAttempts),
    ),
    Route(
        "POST",
        "/login",
        sessions.login,
        PUBLIC,
        body=schemas.Login,
        replies=(_TOKENS,),
        errors=(CredentialsInvalid, TooManyAttempts),
    ),
    Route(
        "POST",
        "/refresh",
        sessions.refresh,
        PUBLIC,
        body=schemas.Refresh,
        replies=(_TOKENS,),
        errors=(RefreshTokenInvalid, RefreshTokenReused),
    ),
    Route("POST", "/logout", sessions.logout, OPTIONAL, body=schemas.Refresh, body_optional=True, replies=(_DONE,)),
    Route("GET", "/me", accounts.me, SIGNED_IN, replies=(_ACCOUNT,), errors=(SessionEnded,)),
    Route(
        "PATCH",
        "/me",
        accounts.rename,
        SIGNED_IN,
        body=schemas.Renaming,
        replies=(_ACCOUNT,),
        errors=(SessionEnded, NotFound),
    ),
    Route(
        "DELETE",
        "/me",
        accounts.delete,
        SIGNED_IN,
        body=schemas.Deletion,
        replies=(_DONE,),
        errors=(SessionEnded, PasswordWrong, LastAdmin, TooManyAttempts),
    ),
    Route(
        "POST",
        "/me/password",
        accounts.change_password,
        SIGNED_IN,
        body=schemas.PasswordChange,
        replies=(_DONE,),
        errors=(SessionEnded, PasswordWrong, TooManyAttempts),
    ),
    Route(
        "GET",
        "/sessions",
        sessions.everywhere,
        SIGNED_IN,
        replies=(Reply(200, "Where the user is signed in", schemas.SESSIONS),),
        errors=(SessionEnded,),
    ),
    Route("DELETE", "/sessions", sessions.end_all, SIGNED_IN, replies=(_DONE,), errors=(SessionEnded,)),
    Route(
        "DELETE",
        "/sessions/{id}",
        sessions.end,
        SIGNED_IN,
        id=schemas.SESSION_ID,
        replies=(_DONE,),
        errors=(SessionEnded,),
    ),
    Route(
        "GET",
        "/users",
        users.page,
        ADMINISTER,
        query=schemas.UsersQuery,
        replies=(Reply(200, "A page, newest first", schemas.USERS),),
        errors=(SessionEnded, AdminOnly),
    ),
    Route(
        "GET",
        "/users/{id}",
        users.show,
        ADMINISTER,
        id=schemas.USER_ID,
        replies=(_USER,),
        errors=(SessionEnded, AdminOnly),
    ),
    Route(
        "PATCH",
        "/users/{id}",
        users.change,
        ADMINISTER,
        id=schemas.USER_ID,
        body=schemas.UserChange,
        replies=(_USER,),
        errors=(SessionEnded, AdminOnly, LastAdmin),
    ),
)
