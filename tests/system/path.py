"""The path that must work in every deployment: register, sign in, write and read posts."""

from tests.api_client import PASSWORD, Pair, SignedIn


async def walk_both(pair: Pair, email: str) -> SignedIn:
    """Walk the whole path through both services, and return the user."""
    registered = await pair.register(email, name="Ada")
    assert registered.status == 201, registered
    tokens = await pair.login(email, PASSWORD)
    assert tokens.status == 200, tokens
    user = SignedIn(registered.body["id"], email, "Ada", tokens.body["access_token"], tokens.body["account_token"])
    me = await pair.call("GET", f"{pair.auth}/me", token=user.account_token)
    assert (me.status, me.body["email"]) == (200, email)
    await walk_posts(pair, user)
    return user


async def walk_posts(pair: Pair, user: SignedIn) -> None:
    """Walk the part of the path that needs only the posts service and a token."""
    written = await pair.post(user.token, "A title", "Some text", tags=["walk"])
    assert written.status == 201, written
    assert (written.body["author_id"], written.body["author_name"]) == (user.id, user.name)
    url = pair.posts + written.headers["Location"]
    assert (await pair.call("GET", url, token=user.token)).body == written.body
    edited = await pair.call("PATCH", url, {"body": "Other text"}, user.token)
    assert (edited.status, edited.body["body"]) == (200, "Other text")
    newest = await pair.call("GET", f"{pair.posts}/posts?limit=1", token=user.token)
    assert newest.body["items"] == [edited.body]
    assert (await pair.call("DELETE", url, token=user.token)).status == 204
    assert (await pair.call("GET", url, token=user.token)).status == 404
    assert (await pair.call("GET", f"{pair.posts}/posts")).status == 401
