"""The Authorization header, through the real middleware."""

import pytest
from multidict import CIMultiDict

from tests.api_client import Pair


async def test_a_missing_token_gets_a_challenge_without_an_error(pair: Pair) -> None:
    """A request without a token gets 401 and a challenge without an error code (RFC 6750 section 3.1)."""
    for url, realm in ((f"{pair.auth}/me", "auth"), (f"{pair.posts}/posts", "posts")):
        reply = await pair.call("GET", url)
        assert (reply.status, reply.code) == (401, "token_missing")
        assert reply.headers["WWW-Authenticate"] == f'Bearer realm="{realm}"'


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR", "Bearer  "])
async def test_the_scheme_is_case_insensitive(pair: Pair, scheme: str) -> None:
    """Bearer may be in any case and followed by several spaces (RFC 9110 sections 11.1 and 11.4)."""
    ada = await pair.sign_up()
    reply = await pair.call("GET", f"{pair.posts}/posts", headers={"Authorization": f"{scheme} {ada.token}"})
    assert reply.status == 200


@pytest.mark.parametrize("value", ["Basic YTpi", "Token x", "Bearerx"])
async def test_credentials_of_another_scheme_are_ignored(pair: Pair, value: str) -> None:
    """A request with credentials of another scheme counts as one without a token."""
    reply = await pair.call("GET", f"{pair.posts}/posts", headers={"Authorization": value})
    assert (reply.status, reply.code) == (401, "token_missing")


async def test_an_empty_bearer_and_two_headers_are_invalid_requests(pair: Pair) -> None:
    """Bearer without a token, or two Authorization headers, get 400 invalid_request."""
    ada = await pair.sign_up()
    good = f"Bearer {ada.token}"
    for headers in (
        CIMultiDict([("Authorization", "Bearer")]),
        CIMultiDict([("Authorization", "Bearer   ")]),
        CIMultiDict([("Authorization", f"Bearer\t{ada.token}")]),
        CIMultiDict([("Authorization", f"Bearer={ada.token}")]),
        CIMultiDict([("Authorization", good), ("Authorization", good)]),
    ):
        async with pair.http.get(f"{pair.posts}/posts", headers=headers) as response:
            assert response.status == 400
            assert 'error="invalid_request"' in response.headers["WWW-Authenticate"]
            assert (await response.json(content_type=None))["code"] == "authorization_invalid"


async def test_a_token_elsewhere_is_never_read(pair: Pair) -> None:
    """A token in the query or in a cookie is ignored."""
    ada = await pair.sign_up()
    in_query = await pair.call("GET", f"{pair.posts}/posts", params={"access_token": ada.token})
    in_cookie = await pair.call("GET", f"{pair.posts}/posts", cookies={"access_token": ada.token})
    assert in_query.code == in_cookie.code == "token_missing"


async def test_access_is_decided_before_the_body_is_read(pair: Pair) -> None:
    """Without a token, even a malformed body gets 401."""
    reply = await pair.call("POST", f"{pair.posts}/posts", data=b"{", headers={"Content-Type": "text/plain"})
    assert reply.status == 401
