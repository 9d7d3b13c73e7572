"""The Authorization header, through the real middleware."""

import pytest
from multidict import CIMultiDict

from tests.api_client import Pair


async def test_without_a_token_there_is_a_challenge_and_no_error(pair: Pair) -> None:
    """401 without a token asks for one, and says nothing of an error (RFC 6750 section 3.1)."""
    for url, realm in ((f"{pair.auth}/me", "auth"), (f"{pair.posts}/posts", "posts")):
        reply = await pair.call("GET", url)
        assert (reply.status, reply.code) == (401, "token_missing")
        assert reply.headers["WWW-Authenticate"] == f'Bearer realm="{realm}"'


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR", "Bearer  "])
async def test_the_scheme_has_no_case(pair: Pair, scheme: str) -> None:
    """Bearer may be written in any case, with more than one space behind it (RFC 9110 sections 11.1 and 11.4)."""
    ada = await pair.sign_up()
    reply = await pair.call("GET", f"{pair.posts}/posts", headers={"Authorization": f"{scheme} {ada.token}"})
    assert reply.status == 200


@pytest.mark.parametrize("value", ["Basic YTpi", "Token x", "Bearerx"])
async def test_another_scheme_is_no_token(pair: Pair, value: str) -> None:
    """Credentials of another scheme count as no token."""
    reply = await pair.call("GET", f"{pair.posts}/posts", headers={"Authorization": value})
    assert (reply.status, reply.code) == (401, "token_missing")


async def test_an_empty_bearer_and_two_headers_are_invalid_requests(pair: Pair) -> None:
    """A Bearer without a token, and two Authorization headers, are 400 invalid_request."""
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
    """A token in the query or in a cookie counts for nothing."""
    ada = await pair.sign_up()
    in_query = await pair.call("GET", f"{pair.posts}/posts", params={"access_token": ada.token})
    in_cookie = await pair.call("GET", f"{pair.posts}/posts", cookies={"access_token": ada.token})
    assert in_query.code == in_cookie.code == "token_missing"


async def test_access_is_decided_before_the_body_is_read(pair: Pair) -> None:
    """Without a token even a malformed body gets 401."""
    reply = await pair.call("POST", f"{pair.posts}/posts", data=b"{", headers={"Content-Type": "text/plain"})
    assert reply.status == 401
