"""Settings from environment variables: typed, checked at start, and rejected with a line that says how to fix them."""

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.errors import StartupError

Port = Annotated[int, Field(ge=1, le=65535)]


class Settings(BaseModel):
    """The base of all settings. A field's variable is its name in capitals; other variables are ignored."""

    model_config = ConfigDict(frozen=True, alias_generator=str.upper, hide_input_in_errors=True)

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Self:
        """Read the variables.

        Raises:
            StartupError: one or more are missing or invalid. The message names each variable, and never quotes a
                value, since it may be a secret.
        """
        known = {field.upper() for field in cls.model_fields}
        try:
            return cls.model_validate({name: value for name, value in environ.items() if name in known})
        except ValidationError as error:
            raise StartupError("; ".join(_line(detail["loc"], detail["msg"]) for detail in error.errors())) from None


def _line(loc: tuple[int | str, ...], message: str) -> str:
    if message == "Field required":
        return f"{loc[0]} is not set; README.md lists every variable"
    return f"{loc[0]}: {message.removeprefix('Value error, ')}"
