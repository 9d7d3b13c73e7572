"""Conditional requests, JSON Merge Patch, and concurrent edits of one post."""

import asyncio
from typing import Any

import pytest

from tests.api_client import Reply, SignedIn
from tests.posts_service.board import MODERATOR, Board

ROUNDS = 100


async def patch(board: Board, who: SignedIn, post: Any, change: object, **headers: str) -> Reply:
    """PATCH a post; write underscores for the hyphens in header names."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await board.call("PATCH", who, f"/{post['id']}", change, headers=named)


async def test_the_etag_is_the_version(board: Board) -> None:
    """A post's strong ETag is the same for every reader and changes with every edit."""
    ada, bob = board.person("Ada"), board.person("Bob", MODERATOR)
    written = await board.call("POST", ada, "", {"title": "t", "body": "b"})
    assert written.headers["ETag"] == '"1"'
    path = written.headers["Location"].removeprefix("/posts")
    for who in (ada, bob):
        assert (await board.call("GET", who, path)).headers["ETag"] == '"1"'
    edited = await board.call("PATCH", bob, path, {"title": "u"})
    assert edited.headers["ETag"] == '"2"'
    assert (await board.call("GET", ada, path)).headers["ETag"] == '"2"'
    head = await board.call("HEAD", ada, path)
    assert (head.status, head.headers["ETag"], head.body) == (200, '"2"', None)


@pytest.mark.parametrize(
    "header", ['"1"', 'W/"1"', '"x", "1"', '"x","1"', 'W/"2" , W/"1"', "*", ' "1" ', '"a,b", "1"', '"\x7e", "", "1"']
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_the_current_version_is_not_sent_again(board: Board, method: str, header: str) -> None:
    """If-None-Match with `*` or the current version, strong or weak, alone or in a list, gets 304 without a body."""
    ada = board.person()
    post = await board.write(ada)
    reply = await board.call(method, ada, f"/{post['id']}", headers={"If-None-Match": header})
    assert (reply.status, reply.headers["ETag"], reply.body) == (304, '"1"', None)


@pytest.mark.parametrize("header", ['"2"', 'W/"2"', '"01"', '"1 "'.replace(" ", "0"), '"x", "y"', '""', '"*"', '"W/1"'])
async def test_a_client_with_another_version_gets_the_post(board: Board, header: str) -> None:
    """If-None-Match without the current version gets the post."""
    ada = board.person()
    post = await board.write(ada)
    reply = await board.call("GET", ada, f"/{post['id']}", headers={"If-None-Match": header})
    assert (reply.status, reply.body) == (200, post)


async def test_a_list_may_span_two_header_lines(board: Board) -> None:
    """Two If-None-Match lines are read as one list."""
    ada = board.person()
    post = await board.write(ada)
    lines = [("Authorization", f"Bearer {ada.token}"), ("If-None-Match", '"7"'), ("If-None-Match", '"1"')]
    async with board.pair.http.get(f"{board.url}/{post['id']}", headers=lines) as response:
        assert response.status == 304


MALFORMED = [
    "",
    "1",
    "'1'",
    '"1',
    '1"',
    '"1" "2"',
    '"1";"2"',
    '*, "1"',
    '"1", *',
    '"a b"',
    "w/",
    'w/"1"',
    'W / "1"',
    "**",
]


@pytest.mark.parametrize("value", MALFORMED)
@pytest.mark.parametrize(
    ("method", "header"), [("GET", "If-None-Match"), ("PATCH", "If-Match"), ("DELETE", "If-Match")]
)
async def test_a_malformed_condition_is_refused(board: Board, method: str, header: str, value: str) -> None:
    """A condition that is not a list of entity tags gets 400 with the header's name, and nothing changes."""
    ada = board.person()
    post = await board.write(ada)
    body = {"title": "changed"} if method == "PATCH" else None
    reply = await board.call(method, ada, f"/{post['id']}", body, headers={header: value})
    assert (reply.status, reply.code) == (400, "header_invalid")
    assert [error["header"] for error in reply.body["errors"]] == [header]
    assert (await board.call("GET", ada, f"/{post['id']}")).body == post


@pytest.mark.parametrize("value", ['"1", ', ', "1"', '"x", , "1"', ',"1",,'])
async def test_empty_elements_of_a_list_are_ignored(board: Board, value: str) -> None:
    """Empty elements in a list are ignored (RFC 9110 section 5.6.1.2)."""
    ada = board.person()
    post = await board.write(ada)
    reply = await board.call("GET", ada, f"/{post['id']}", headers={"If-None-Match": value})
    assert reply.status == 304


@pytest.mark.parametrize("value", ['"2"', 'W/"2"', '"1", "2"', 'W/"1", "2"', "*"])
async def test_a_change_to_the_current_version_is_made(board: Board, value: str) -> None:
    """If-Match accepts `*` or a list with the current version, but weak tags never match."""
    ada = board.person()
    post = await board.write(ada)
    await patch(board, ada, post, {"title": "second"})
    reply = await patch(board, ada, post, {"title": "third"}, If_Match=value)
    weak = value.startswith('W/"2')
    assert (reply.status, reply.headers["ETag"]) == ((412, '"2"') if weak else (200, '"3"'))


@pytest.mark.parametrize("value", ['"1"', '"3"', '"1", "3"', '"02"', '""', '"x"', 'W/"2"', '"99999999999"', '"-2"'])
@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
async def test_a_change_to_another_version_is_refused(board: Board, method: str, value: str) -> None:
    """If-Match without the current version gets 412 with the current ETag, and the post stays as it is."""
    ada = board.person()
    post = await board.write(ada)
    second = (await patch(board, ada, post, {"title": "second"})).body
    body = {"title": "lost"} if method == "PATCH" else None
    reply = await board.call(method, ada, f"/{post['id']}", body, headers={"If-Match": value})
    assert (reply.status, reply.code, reply.headers["ETag"]) == (412, "version_mismatch", '"2"')
    assert (await board.call("GET", ada, f"/{post['id']}")).body == second


async def test_conditions_apply_to_an_empty_patch(board: Board) -> None:
    """An empty patch of an outdated version gets 412, and `If-Match: *` for a deleted post gets 404."""
    ada = board.person()
    post = await board.write(ada)
    assert (await patch(board, ada, post, {}, If_Match='"2"')).status == 412
    await board.call("DELETE", ada, f"/{post['id']}")
    assert (await patch(board, ada, post, {}, If_Match="*")).status == 404


@pytest.mark.parametrize(
    "media_type", ["application/json", "application/merge-patch+json", "application/json; charset=UTF-8"]
)
async def test_a_merge_patch_changes_what_it_names(board: Board, media_type: str) -> None:
    """PATCH, as JSON or JSON Merge Patch, replaces the members that are sent, keeps the others, and clears on null."""
    ada = board.person()
    post = await board.write(ada, "t", "b", tags=["x", "y"])
    expected = dict(post)
    for change, result in (
        ({"title": "T"}, {"title": "T"}),
        ({"tags": [" Z ", "z"]}, {"tags": ["z"]}),
        ({"tags": None}, {"tags": []}),
        ({"body": "B", "tags": ["w"]}, {"body": "B", "tags": ["w"]}),
    ):
        reply = await patch(board, ada, post, change, Content_Type=media_type)
        expected |= {**result, "version": expected["version"] + 1, "updated_at": reply.body["updated_at"]}
        assert (reply.status, reply.body) == (200, expected)
    assert (await board.call("GET", ada, f"/{post['id']}")).body == expected


@pytest.mark.parametrize(
    "change", [{}, {"title": "t"}, {"tags": [" X ", "x"]}, {"title": "t", "body": "b", "tags": ["x"]}]
)
async def test_a_patch_that_changes_nothing_keeps_the_version(board: Board, change: object) -> None:
    """A no-op patch leaves version, ETag and updated_at alone."""
    ada = board.person()
    post = await board.write(ada, "t", "b", tags=["x"])
    reply = await patch(board, ada, post, change)
    assert (reply.status, reply.body, reply.headers["ETag"]) == (200, post, '"1"')


@pytest.mark.parametrize(
    ("change", "pointer"),
    [({"title": None}, "/title"), ({"body": None}, "/body"), ({"id": 1}, "/id"), ({"version": 2}, "/version")],
)
async def test_required_and_read_only_members_are_protected(board: Board, change: object, pointer: str) -> None:
    """Clearing the title or the body, or setting a read-only member, gets 422."""
    ada = board.person()
    post = await board.write(ada)
    reply = await patch(board, ada, post, change)
    assert (reply.status, [error["pointer"] for error in reply.body["errors"]]) == (422, [pointer])


@pytest.mark.parametrize("media_type", ["application/json-patch+json", "text/plain", "application/merge-patch+xml"])
async def test_other_patch_formats_are_refused(board: Board, media_type: str) -> None:
    """PATCH with any other media type gets 415, and so does POST with a merge patch."""
    ada = board.person()
    post = await board.write(ada)
    assert (await patch(board, ada, post, {}, Content_Type=media_type)).status == 415
    headers = {"Content-Type": "application/merge-patch+json"}
    assert (await board.call("POST", ada, "", {"title": "t", "body": "b"}, headers=headers)).status == 415


@pytest.mark.slow
async def test_of_two_edits_of_one_version_one_wins(board: Board) -> None:
    """When two clients edit the same version at once, one gets 200 and the other 412 with the new ETag."""
    ada = board.person()
    post = await board.write(ada)
    for version in range(1, ROUNDS + 1):
        replies = await asyncio.gather(
            *(patch(board, ada, post, {"title": f"{version} by {name}"}, If_Match=f'"{version}"') for name in "AB")
        )
        winner, loser = sorted(replies, key=lambda reply: reply.status)
        assert (winner.status, loser.status) == (200, 412)
        assert winner.headers["ETag"] == loser.headers["ETag"] == f'"{version + 1}"'
        assert (await board.call("GET", ada, f"/{post['id']}")).body == winner.body


async def test_an_edit_and_a_deletion_of_one_version_do_not_both_happen(board: Board) -> None:
    """When one version is edited and deleted at once, one request succeeds; the other gets 412, or 404 if deleted."""
    ada = board.person()
    for _ in range(ROUNDS // 4):
        post = await board.write(ada)
        edit, deletion = await asyncio.gather(
            patch(board, ada, post, {"title": "edited"}, If_Match='"1"'),
            board.call("DELETE", ada, f"/{post['id']}", headers={"If-Match": '"1"'}),
        )
        assert (edit.status, deletion.status) in {(200, 412), (404, 204)}
        assert (await board.call("GET", ada, f"/{post['id']}")).status == (200 if edit.status == 200 else 404)


@pytest.mark.slow
async def test_edits_of_different_fields_lose_nothing(board: Board) -> None:
    """Concurrent edits of different fields, without If-Match, all take effect, each with its own version."""
    ada = board.person()
    post = await board.write(ada)
    version = 1
    for number in range(ROUNDS // 2):
        changes = ({"title": f"title {number}"}, {"body": f"body {number}"}, {"tags": [f"tag {number}"]})
        replies = await asyncio.gather(*(patch(board, ada, post, change) for change in changes))
        assert sorted(reply.body["version"] for reply in replies) == [version + 1, version + 2, version + 3]
        version += 3
        last = (await board.call("GET", ada, f"/{post['id']}")).body
        wanted = {"title": f"title {number}", "body": f"body {number}", "tags": [f"tag {number}"], "version": version}
        assert last == last | wanted


async def test_a_hundred_edits_at_once_count_a_hundred_versions(board: Board) -> None:
    """Each of a hundred concurrent edits, sent to two replicas, makes its own version."""
    ada = board.person()
    post = await board.write(ada)
    bases = (board.pair.posts, board.replica)
    replies = await asyncio.gather(
        *(
            board.pair.call("PATCH", f"{bases[n % 2]}/posts/{post['id']}", {"title": f"edit {n}"}, ada.token)
            for n in range(100)
        )
    )
    assert sorted(reply.body["version"] for reply in replies) == list(range(2, 102))
