"""Every reason to refuse a token, each with a code of its own."""

from shared.errors import DomainError, Kind


class TokenRefused(DomainError):
    """The base of every reason to refuse a token. `check`, its number in shared/tokens/checks.py, is in the data."""

    kind = Kind.TOKEN_REFUSED

    @property
    def check(self) -> int:
        """The number of the check that failed, 1 to 13; 0 before the table of checks has set it."""
        number = self.data.get("check", 0)
        assert isinstance(number, int)
        return number


class TokenTooLarge(TokenRefused):
    """The token is longer than any token of this issuer."""

    code = "token_too_large"


class TokenMalformed(TokenRefused):
    """The token is not three segments of canonical base64url with one JSON object each."""

    code = "token_malformed"


class TokenHeaderRefused(TokenRefused):
    """The header brings its own key, or asks for an extension."""

    code = "token_header_refused"


class TokenTypeWrong(TokenRefused):
    """The token is a JWT, but not an access token."""

    code = "token_type_wrong"


class TokenKeyUnknown(TokenRefused):
    """The token was signed with a key that this service doesn't have."""

    code = "token_key_unknown"


class TokenAlgorithmRefused(TokenRefused):
    """The header names a different algorithm than the key's."""

    code = "token_algorithm_refused"


class TokenSignatureInvalid(TokenRefused):
    """The header or the payload is not what was signed."""

    code = "token_signature_invalid"


class TokenClaimMissing(TokenRefused):
    """A required claim is missing."""

    code = "token_claim_missing"


class TokenClaimInvalid(TokenRefused):
    """A claim has a type or value that no access token has."""

    code = "token_claim_invalid"


class TokenIssuerWrong(TokenRefused):
    """The token comes from a different issuer."""

    code = "token_issuer_wrong"


class TokenAudienceWrong(TokenRefused):
    """The token is meant for other services."""

    code = "token_audience_wrong"


class TokenExpired(TokenRefused):
    """The token has expired: its exp has passed."""

    code = "token_expired"


class TokenNotYetValid(TokenRefused):
    """The token is not valid yet: its nbf is in the future."""

    code = "token_not_yet_valid"


class TokenIssuedInFuture(TokenRefused):
    """The token's iat is in the future, so one of two clocks is wrong."""

    code = "token_issued_in_future"
