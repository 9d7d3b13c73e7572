"""The auth service's settings. Those that every service has come from shared/."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from shared.database.settings import DatabaseSettings
from shared.http.settings import ServiceSettings
from shared.settings import Port
from shared.tokens.settings import NAME_FORM, Name, VerifierSettings


def _audiences(text: str) -> str:
    if not all(re.fullmatch(NAME_FORM, name) for name in text.split(",")):
        raise ValueError("it must be a comma-separated list of names without spaces, such as auth,posts")
    return text


class TokenSettings(VerifierSettings):
    """How to sign and verify tokens."""

    jwt_audience: Annotated[Name, Field(description="This service's own name, which must be in aud")] = "auth"
    jwt_audiences: Annotated[
        str, AfterValidator(_audiences), Field(description="aud of the tokens: every service that accepts them")
    ] = "auth,posts"
    access_token_seconds: Annotated[int, Field(ge=5, le=86400, description="Lifetime of an access token")] = 900


class Settings(TokenSettings, ServiceSettings, DatabaseSettings):
    """Everything that can be set."""

    port: Annotated[Port, Field(description="Port to listen on")] = 8001
    bcrypt_cost: Annotated[
        int, Field(ge=4, le=16, description="log2 of the rounds of a password hash; below 12 only in tests")
    ] = 12
    session_idle_seconds: Annotated[
        int, Field(ge=60, le=31_536_000, description="A session ends when it is not refreshed for this long")
    ] = 14 * 86_400
    session_absolute_seconds: Annotated[
        int, Field(ge=60, le=31_536_000, description="Maximum lifetime of a session")
    ] = 90 * 86_400
    trusted_proxies: Annotated[
        int, Field(ge=0, le=10, description="Number of your own proxies in front that add to X-Forwarded-For")
    ] = 0
    password_min_length: Annotated[int, Field(ge=8, le=128, description="Minimum length of a password")] = 15
