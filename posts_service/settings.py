"""Every variable that the posts service reads; shared/settings.py has those that both services read."""

from typing import Annotated

from pydantic import Field

from shared.settings import DatabaseSettings, Name, ServiceSettings
from shared.variables import Port


class Settings(ServiceSettings, DatabaseSettings):
    """What the posts service is told."""

    port: Annotated[Port, Field(description="Port to listen on")] = 8002
    jwt_audience: Annotated[Name, Field(description="This service's own name, looked for in aud")] = "posts"
