"""The usual path of a client, through the two published base URLs."""

from tests.api_client import Pair


async def test_from_registering_to_reading_a_post(pair: Pair) -> None:
    """A user who registers and logs in at auth can write and read posts."""
    ada = await pair.sign_up("Ada")
    me = await pair.call("GET", f"{pair.auth}/me", token=ada.account_token)
    assert (me.status, me.body["email"]) == (200, ada.email)

    created = await pair.post(ada.token, "From a container")
    assert created.status == 201
    assert created.body["author_id"] == ada.id

    listed = await pair.call("GET", f"{pair.posts}/posts", token=ada.token)
    assert listed.status == 200
    assert created.body["id"] in [post["id"] for post in listed.body["items"]]
