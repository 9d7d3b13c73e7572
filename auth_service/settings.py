"""Every variable that the auth service reads; shared/settings.py has those that both services read."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from shared.settings import NAME_FORM, DatabaseSettings, Name, ServiceSettings, VerifierSettings
from shared.variables import Port


def _audiences(text: str) -> str:
    if not all(re.fullmatch(NAME_FORM, name) for name in text.split(",")):
        raise ValueError("it must be names with a comma between two, without spaces: auth,posts")
    return text


class TokenSettings(VerifierSettings):
    """What the auth service is told of tokens."""

    jwt_audience: Annotated[Name, Field(description="This service's own name, looked for in aud")] = "auth"
    jwt_audiences: Annotated[
        str, AfterValidator(_audiences), Field(description="aud of the tokens: every service that is to take them")
    ] = "auth,posts"
    access_token_seconds: Annotated[int, Field(ge=5, le=86400, description="How long an access token lives")] = 900


class Settings(TokenSettings, ServiceSettings, DatabaseSettings):
    """What the auth service is told."""

    port: Annotated[Port, Field(description="Port to listen on")] = 8001
    bcrypt_cost: Annotated[
        int, Field(ge=4, le=16, description="log2 of the rounds of a password hash; below 12 only in tests")
    ] = 12
    session_idle_seconds: Annotated[
        int, Field(ge=60, le=31_536_000, description="A session that is not refreshed for so long is over")
    ] = 14 * 86_400
    session_absolute_seconds: Annotated[
        int, Field(ge=60, le=31_536_000, description="A session is over so long after the log-in, whatever happens")
    ] = 90 * 86_400
    trusted_proxies: Annotated[
        int, Field(ge=0, le=10, description="Proxies of your own in front, each of which adds to X-Forwarded-For")
    ] = 0
    password_min_length: Annotated[int, Field(ge=8, le=128, description="Fewest characters of a password")] = 15
