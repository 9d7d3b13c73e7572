"""The posts service's settings. Those that every service has come from shared/."""

from typing import Annotated

from pydantic import Field

from shared.database.settings import DatabaseSettings
from shared.http.settings import ServiceSettings
from shared.settings import Port
from shared.tokens.settings import Name


class Settings(ServiceSettings, DatabaseSettings):
    """Everything that can be set."""

    port: Annotated[Port, Field(description="Port to listen on")] = 8002
    jwt_audience: Annotated[Name, Field(description="This service's own name, which must be in aud")] = "posts"
