"""Settings from environment variables: typed, checked at start, and refused with a line that says the mend.

Apart from shared/settings.py, so that what holds no key needs none of the packages that keys need.
"""

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.errors import StartupError

Port = Annotated[int, Field(ge=1, le=65535)]


class Settings(BaseModel):
    """The base of all settings. The variable is the field's name in capitals; other variables are ignored."""

    model_config = ConfigDict(frozen=True, alias_generator=str.upper, hide_input_in_errors=True)

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Self:
        """Read the variables.

        Raises:
            StartupError: one or more are missing or not allowed; the line names each, and never a value that may be
                secret.
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
