"""The console's settings."""

import re
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from shared import settings
from shared.errors import StartupError
from shared.logs import Format
from shared.settings import Port

# used in a Content-Security-Policy, which can't have spaces, commas, semicolons or IPv6 addresses in a URL
_BASE_URL = re.compile(r"https?://[A-Za-z0-9.-]+(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~/-]*)?")


def _base_url(url: str) -> str:
    try:
        fits = _BASE_URL.fullmatch(url) is not None and urlsplit(url).port != 0
    except ValueError:  # a port over 65535
        fits = False
    if not fits:
        raise ValueError("it must be a base URL that browsers can reach, such as http://127.0.0.1:8001")
    return url.rstrip("/")


BaseURL = Annotated[str, AfterValidator(_base_url)]


class Exhibit(BaseModel):
    """A token in the gallery: correctly signed, but refused for another reason."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: Annotated[str, Field(min_length=1, max_length=100)]
    about: Annotated[str, Field(min_length=1, max_length=500)]
    token: Annotated[str, Field(min_length=1, max_length=8000)]


_GALLERY = TypeAdapter(list[Exhibit])


class Settings(settings.Settings):
    """The console's environment variables."""

    host: Annotated[str, Field(min_length=1, description="Address to listen on")] = "127.0.0.1"
    port: Annotated[Port, Field(description="Port to listen on")] = 8000
    auth_url: Annotated[BaseURL, Field(description="Base URL of the auth service, as the browser reaches it")]
    posts_url: Annotated[BaseURL, Field(description="Base URL of the posts service, as the browser reaches it")]
    gallery_file: Annotated[
        Path | None, Field(description="Tokens that take the key to make: a list of name, about, token")
    ] = None
    log_format: Annotated[Format, Field(description="json, or text for reading in a terminal")] = "json"

    def gallery(self) -> list[Exhibit] | None:
        """Read the gallery, or return None if there is none.

        Raises:
            StartupError: the file can't be read, or is not a valid gallery.
        """
        if self.gallery_file is None:
            return None
        try:
            return _GALLERY.validate_json(self.gallery_file.read_bytes())
        except OSError as error:
            raise StartupError(f"GALLERY_FILE {self.gallery_file}: {error.strerror}") from None
        except ValidationError as error:
            fault = error.errors()[0]
            place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in fault["loc"])
            raise StartupError(
                f"GALLERY_FILE {self.gallery_file}: it must be a JSON list of objects with name, about and token"
                f" ({place or 'the whole'}: {fault['msg']})"
            ) from None
