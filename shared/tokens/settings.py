"""The settings that every service needs to verify tokens."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from shared.settings import Settings
from shared.tokens.keyring import Keyring
from shared.tokens.verifier import Verifier

NAME_FORM = r"[A-Za-z0-9:/._-]{1,255}"
Name = Annotated[str, Field(pattern=f"^{NAME_FORM}$")]


class VerifierSettings(Settings):
    """How to verify tokens."""

    jwt_keyring_file: Annotated[Path | None, Field(description="The shared secret: a file with a JWK Set")] = None
    jwt_keyring: Annotated[
        str | None, Field(min_length=1, repr=False, description="The file's content instead, where there are no files")
    ] = None
    jwt_issuer: Annotated[Name, Field(description="iss of the tokens, the same in every service")] = "auth"
    jwt_audience: Annotated[Name, Field(description="This service's own name, which must be in aud")]
    jwt_leeway: Annotated[float, Field(ge=0, le=60, description="Seconds by which two machines' clocks may differ")] = (
        10.0
    )

    def verifier(self) -> Verifier:
        """Read the shared secret and build the verifier.

        Raises:
            StartupError: there is no secret, or it is unsafe.
        """
        keyring = Keyring(file=self.jwt_keyring_file, text=self.jwt_keyring)
        return Verifier(keyring, issuer=self.jwt_issuer, audience=self.jwt_audience, leeway=self.jwt_leeway)
