"""Posts and who may do what with them."""

from uuid import uuid4

import pytest

from shared import cursor as cursors
from tests.pair import Pair


async def test_a_post_is_what_was_sent_by_whom_the_token_says(pair: Pair) -> None:
    """A post is answered with 201, its Location, and the author of the token."""
    ada = await pair.sign_up("Ada")
    reply = await pair.post(ada.token, "First  post ", "Line one\n\tline two 🦉", tags=["News", " news ", "b"])
    assert reply.status == 201
    assert reply.headers["Location"] == f"/posts/{reply.body['id']}"
    assert reply.body["title"] == "First  post "
    assert reply.body["body"] == "Line one\n\tline two 🦉"
    assert reply.body["tags"] == ["news", "b"]
    assert (reply.body["author_id"], reply.body["author_name"], reply.body["version"]) == (ada.id, "Ada", 1)
    again = await pair.call("GET", pair.posts + reply.headers["Location"], token=ada.token)
    assert (again.status, again.body) == (200, reply.body)


async def test_the_author_is_never_taken_from_the_body(pair: Pair) -> None:
    """A body that names an author is refused."""
    ada = await pair.sign_up()
    reply = await pair.post(ada.token, author_id=str(uuid4()))
    assert (reply.status, reply.body["errors"][0]["pointer"]) == (422, "/author_id")


async def test_the_author_edits_and_deletes(pair: Pair) -> None:
    """The author changes what is sent and nothing else, and can delete the post for good."""
    ada = await pair.sign_up()
    post = (await pair.post(ada.token, "Old", "Text", tags=["kept"])).body
    url = f"{pair.posts}/posts/{post['id']}"
    edited = await pair.call("PATCH", url, {"title": "New"}, ada.token)
    assert edited.status == 200
    assert edited.body == post | {"title": "New", "version": 2, "updated_at": edited.body["updated_at"]}
    assert edited.body["updated_at"] > post["updated_at"]
    assert (await pair.call("DELETE", url, token=ada.token)).status == 204
    for method, body in (("GET", None), ("PATCH", {"title": "x"}), ("DELETE", None)):
        gone = await pair.call(method, url, body, ada.token)
        assert (gone.status, gone.code) == (404, "not_found")


async def test_others_read_but_do_not_write(pair: Pair) -> None:
    """Whoever is not the author can read a post, and gets 403 for changing or deleting it; the post stays as it was."""
    ada, bob = await pair.sign_up("Ada"), await pair.sign_up("Bob")
    post = (await pair.post(ada.token)).body
    url = f"{pair.posts}/posts/{post['id']}"
    for method, body in (("PATCH", {"title": "mine now"}), ("DELETE", None)):
        reply = await pair.call(method, url, body, bob.token)
        assert (reply.status, reply.code) == (403, "not_the_author")
    assert (await pair.call("GET", url, token=bob.token)).body == post


@pytest.mark.parametrize(
    "post_id", ["0", "-1", "1.0", "01", "x", "9223372036854775808", "9" * 400, "%00", "1%2F2", "٣"]
)
async def test_a_strange_id_is_no_post(pair: Pair, post_id: str) -> None:
    """An id that can't be one is 404, never a fault."""
    ada = await pair.sign_up()
    reply = await pair.call("GET", f"{pair.posts}/posts/{post_id}", token=ada.token)
    assert (reply.status, reply.code) == (404, "not_found")


@pytest.mark.parametrize(
    ("change", "pointer", "code"),
    [
        ({"title": ""}, "/title", "text_blank"),
        ({"title": "t" * 201}, "/title", "too_long"),
        ({"title": "a\0b"}, "/title", "text_refused"),
        ({"title": None}, "/title", "type_wrong"),
        ({"body": ""}, "/body", "too_short"),
        ({"body": "b" * 100_001}, "/body", "too_long"),
        ({"body": "a\0b"}, "/body", "text_refused"),
        ({"body": "a\ud800b"}, "/body", "text_refused"),
        ({"tags": "news"}, "/tags", "type_wrong"),
        ({"tags": ["t"] * 11}, "/tags", "too_many"),
        ({"tags": ["ok", ""]}, "/tags/1", "text_blank"),
        ({"tags": ["t" * 51]}, "/tags/0", "too_long"),
    ],
)
async def test_a_limit_is_named_with_what_was_sent(
    pair: Pair, change: dict[str, object], pointer: str, code: str
) -> None:
    """What is over a limit gets 422 with its pointer, on writing and on editing alike."""
    ada = await pair.sign_up()
    post = (await pair.post(ada.token)).body
    written = await pair.call("POST", f"{pair.posts}/posts", {"title": "t", "body": "b", **change}, ada.token)
    edited = await pair.call("PATCH", f"{pair.posts}/posts/{post['id']}", change, ada.token)
    for reply in (written, edited):
        assert (reply.status, reply.code) == (422, "validation_failed")
        assert [(error["pointer"], error["code"]) for error in reply.body["errors"]] == [(pointer, code)]


async def test_the_largest_post_is_taken(pair: Pair) -> None:
    """Every limit can be reached, also when each character arrives as an escape."""
    ada = await pair.sign_up()
    reply = await pair.post(ada.token, "🦉" * 200, "🦉" * 100_000, tags=[f"{n}" + "t" * 49 for n in range(10)])
    assert reply.status == 201
    assert reply.body["body"] == "🦉" * 100_000


async def test_pages_follow_each_other(pair: Pair) -> None:
    """The list is newest first, and `next` leads from page to page without a gap or a repetition."""
    ada = await pair.sign_up()
    written = [(await pair.post(ada.token, f"Post {n}")).body["id"] for n in range(5)]
    seen: list[int] = []
    cursor = ""
    while len(seen) < 5:
        reply = await pair.call("GET", f"{pair.posts}/posts?limit=2{cursor}", token=ada.token)
        assert reply.status == 200
        assert len(reply.body["items"]) == 2
        seen += [post["id"] for post in reply.body["items"]]
        cursor = f"&cursor={reply.body['next']}"
    assert seen[:5] == written[::-1]


@pytest.mark.parametrize(
    ("query", "parameter", "code"),
    [
        ("limit=0", "limit", "out_of_range"),
        ("limit=101", "limit", "out_of_range"),
        ("limit=ten", "limit", "type_wrong"),
        ("limit=", "limit", "type_wrong"),
        ("limit=1&limit=2", "limit", "parameter_repeated"),
        ("page=2", "page", "field_unknown"),
    ],
)
async def test_a_wrong_parameter_is_named(pair: Pair, query: str, parameter: str, code: str) -> None:
    """A parameter that is unknown, repeated or out of range gets 400 with its name."""
    ada = await pair.sign_up()
    reply = await pair.call("GET", f"{pair.posts}/posts?{query}", token=ada.token)
    assert (reply.status, reply.code) == (400, "parameter_invalid")
    assert [(error["parameter"], error["code"]) for error in reply.body["errors"]] == [(parameter, code)]


async def test_a_made_up_cursor_shows_nothing(pair: Pair) -> None:
    """A cursor grants nothing, so one may be made up; a number that no id can be is before every post."""
    ada = await pair.sign_up()
    await pair.post(ada.token)
    made_up = cursors.write(b"\xff" * 8)
    reply = await pair.call("GET", f"{pair.posts}/posts", token=ada.token, params={"cursor": made_up})
    assert (reply.status, reply.body) == (200, {"items": [], "next": None})


@pytest.mark.parametrize("cursor", ["", "x", "AAAAAAAAAAAAAAAAAA", "é", "A" * 5000])
async def test_a_foreign_cursor_is_refused(pair: Pair, cursor: str) -> None:
    """A cursor that this service did not give is 400 cursor_invalid."""
    ada = await pair.sign_up()
    reply = await pair.call("GET", f"{pair.posts}/posts", token=ada.token, params={"cursor": cursor})
    assert (reply.status, reply.code) == (400, "cursor_invalid")
