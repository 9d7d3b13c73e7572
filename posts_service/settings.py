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
    writes_burst: Annotated[int, Field(ge=1, le=1_000_000, description="Writes that a user may make at once")] = 120
    writes_per_second: Annotated[
        float, Field(ge=0.001, le=1_000_000, description="Writes that a user regains in a second")
    ] = 2.0
