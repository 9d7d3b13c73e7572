"""The user's own account: changing the name and the password, and deleting the account."""

import asyncio
import time
from pathlib import Path
from uuid import uuid4

import pytest

from auth_service.handlers import ACCOUNTS
from auth_service.signing import Signer
from dev.service_process import account_keyring
from shared.tokens.keyring import Keyring
from tests.api_client import PASSWORD, Pair, new_email
from tests.auth_service.alone import Auth, says, tokens_of

NEW = "another passphrase altogether"
ENDED = (401, "session_ended")
INVALID = (401, "refresh_token_invalid")
WRONG = (403, "password_wrong")


async def test_changing_the_name(auth: Auth) -> None:
    """PATCH /me changes the name and nothing else; the next access token has the new name."""
    member = await auth.join("Ada")
    before = (await auth.me(member.tokens.account)).body
    reply = await auth.ask("PATCH", "/me", {"name": "Augusta Ada 🦉"}, member.tokens.account)
    assert reply.status == 200
    changed = {name for name in before if reply.body[name] != before[name]}
    assert changed == {"name", "updated_at"}
    assert reply.body["name"] == "Augusta Ada 🦉"
    assert reply.body == (await auth.me(member.tokens.account)).body
    assert (await auth.renewed(member.tokens.refresh)).claims["name"] == "Augusta Ada 🦉"


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({}, "/name", "field_missing"),
        ({"name": ""}, "/name", "text_blank"),
        ({"name": "n" * 101}, "/name", "too_long"),
        ({"name": "two\nlines"}, "/name", "text_refused"),
        ({"name": "nul \0"}, "/name", "text_refused"),
        ({"name": "lone \udcff"}, "/name", "text_refused"),
        ({"name": "Ada", "role": "admin"}, "/role", "field_unknown"),
        ({"name": "Ada", "email": "other@example.com"}, "/email", "field_unknown"),
    ],
)
async def test_what_can_not_be_a_name_is_refused(auth: Auth, body: object, pointer: str, code: str) -> None:
    """An invalid name, or any other field, gets 422 with the field, and nothing changes."""
    member = await auth.join()
    before = (await auth.me(member.tokens.account)).body
    reply = await auth.ask("PATCH", "/me", body, member.tokens.account)
    assert says(reply) == (422, "validation_failed")
    assert [(error["pointer"], error["code"]) for error in reply.body["errors"]] == [(pointer, code)]
    assert (await auth.me(member.tokens.account)).body == before


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/me", None),
        ("PATCH", "/me", {"name": "Ada"}),
        ("DELETE", "/me", {"password": PASSWORD}),
        ("POST", "/me/password", {"current_password": PASSWORD, "new_password": NEW}),
    ],
)
async def test_every_route_needs_a_token_of_a_live_session(auth: Auth, method: str, path: str, body: object) -> None:
    """Without a token, or with one whose session has ended, nothing is shown or done."""
    member = await auth.join()
    assert says(await auth.ask(method, path, body)) == (401, "token_missing")
    assert (await auth.ask("DELETE", "/sessions", token=member.tokens.account)).status == 204
    assert says(await auth.ask(method, path, body, member.tokens.account)) == ENDED
    assert (await auth.login(member.email)).status == 200


async def test_a_new_password_ends_all_other_sessions(auth: Auth) -> None:
    """A password change keeps the current session and ends all others, and only the new password works."""
    member, stranger = await auth.join(), await auth.join()
    others = [await auth.sign_in(member.email) for _ in range(3)]
    reply = await auth.ask(
        "POST", "/me/password", {"current_password": PASSWORD, "new_password": NEW}, member.tokens.account
    )
    assert reply.status == 200
    for tokens in others:
        assert says(await auth.me(tokens.account)) == ENDED
        assert says(await auth.refresh(tokens.refresh)) == INVALID
    new = tokens_of(reply)
    assert says(await auth.me(member.tokens.account)) == ENDED, "a stolen token doesn't outlive the old password"
    assert (await auth.me(new.account)).status == 200
    assert says(await auth.refresh(member.tokens.refresh)) == INVALID
    assert (await auth.renewed(new.refresh)).session == new.session != member.tokens.session
    assert says(await auth.login(member.email)) == (401, "credentials_invalid")
    assert (await auth.login(member.email, NEW)).status == 200
    assert (await auth.me(stranger.tokens.account)).status == 200


async def test_the_current_password_is_asked_for(auth: Auth) -> None:
    """A wrong current password gets 403, and the password and all sessions stay as they are."""
    member = await auth.join()
    other = await auth.sign_in(member.email)
    reply = await auth.ask(
        "POST", "/me/password", {"current_password": PASSWORD + "!", "new_password": NEW}, member.tokens.account
    )
    assert says(reply) == WRONG
    assert "WWW-Authenticate" not in reply.headers
    assert await auth.sessions_of(member.id) == {member.tokens.session, other.session}
    assert says(await auth.login(member.email, NEW)) == (401, "credentials_invalid")
    assert (await auth.login(member.email)).status == 200


@pytest.mark.parametrize(
    ("new", "code"),
    [
        ("fourteen chars", "password_too_short"),
        ("p" * 257, "too_long"),
        ("nul \0 inside the passphrase", "text_refused"),
        ("lone \ud800 surrogate inside", "text_refused"),
        ("passwordpassword", "password_common"),
        ("Augusta Ada King!", "password_personal"),
        ("", "too_short"),
    ],
)
async def test_a_new_password_keeps_to_the_rules(auth: Auth, new: str, code: str) -> None:
    """A new password must follow the same rules as the first one; if it doesn't, the old one stays."""
    member = await auth.join("Augusta Ada King")
    body = {"current_password": PASSWORD, "new_password": new}
    reply = await auth.ask("POST", "/me/password", body, member.tokens.account)
    assert says(reply) == (422, "validation_failed")
    assert [(error["pointer"], error["code"]) for error in reply.body["errors"]] == [("/new_password", code)]
    assert (await auth.login(member.email)).status == 200


@pytest.mark.slow
async def test_of_two_new_passwords_at_once_one_counts(auth: Auth) -> None:
    """Of several simultaneous changes, all with the right password, one succeeds and the others get 403."""
    for _ in range(5):
        member = await auth.join()
        wishes = [f"{NEW}, number {number}" for number in range(4)]
        replies = await asyncio.gather(
            *(
                auth.ask(
                    "POST",
                    "/me/password",
                    {"current_password": PASSWORD, "new_password": wish},
                    member.tokens.account,
                )
                for wish in wishes
            )
        )
        assert sorted(reply.status for reply in replies) == [200, 403, 403, 403]
        [made] = [wish for wish, reply in zip(wishes, replies, strict=True) if reply.status == 200]
        assert (await auth.login(member.email, made)).status == 200
        events = [event["event"] for event in await auth.events_of(member.id)]
        assert events.count("password_changed") == 1


async def test_an_account_can_be_deleted_with_its_password(auth: Auth) -> None:
    """DELETE /me deletes the account and its sessions; its tokens are refused, and its address is free again."""
    member = await auth.join()
    other = await auth.sign_in(member.email)
    reply = await auth.ask("DELETE", "/me", {"password": PASSWORD}, member.tokens.account)
    assert (reply.status, reply.body) == (204, None)
    for tokens in (member.tokens, other):
        assert says(await auth.me(tokens.account)) == ENDED
        assert says(await auth.refresh(tokens.refresh)) == INVALID
    assert says(await auth.login(member.email)) == (401, "credentials_invalid")
    assert await auth.database.fetchval("SELECT count(*) FROM users WHERE id = $1", member.id) == 0
    assert await auth.sessions_of(member.id) == set()
    again = await auth.register(member.email)
    assert again.status == 201
    assert again.body["id"] != str(member.id)


async def test_without_the_password_nothing_is_deleted(auth: Auth) -> None:
    """A wrong password gets 403, a missing one 422, and the account stays as it was."""
    member = await auth.join()
    token = member.tokens.account
    assert says(await auth.ask("DELETE", "/me", {"password": "a wrong passphrase"}, token)) == WRONG
    assert says(await auth.ask("DELETE", "/me", {}, token)) == (422, "validation_failed")
    assert says(await auth.ask("DELETE", "/me", token=token)) == (415, "media_type_unsupported")
    assert (await auth.me(token)).status == 200
    assert (await auth.login(member.email)).status == 200


async def test_deleting_twice_at_once_deletes_once(auth: Auth) -> None:
    """Several simultaneous deletions cause no server error, and the deletion is recorded once."""
    member = await auth.join()
    replies = await asyncio.gather(
        *(auth.ask("DELETE", "/me", {"password": PASSWORD}, member.tokens.account) for _ in range(4))
    )
    assert {reply.status for reply in replies} <= {204, 401, 403}
    assert 204 in {reply.status for reply in replies}
    assert [event["event"] for event in await auth.events_of(member.id)].count("deleted") == 1


async def test_posts_stay_when_their_author_goes(pair: Pair) -> None:
    """The posts of a deleted account can still be read, under the name they were written under."""
    author, reader = await pair.sign_up("Grace"), await pair.sign_up()
    written = await pair.post(author.token, "Still here")
    await pair.call("DELETE", f"{pair.auth}/me", {"password": PASSWORD}, author.account_token)
    assert says(await pair.call("GET", f"{pair.auth}/me", token=author.account_token)) == ENDED
    found = await pair.call("GET", pair.posts + written.headers["Location"], token=reader.token)
    assert (found.status, found.body["author_name"], found.body["author_id"]) == (200, "Grace", author.id)


async def test_the_password_is_compared_in_its_normal_form(auth: Auth) -> None:
    """Composed and decomposed characters are the same password, wherever it is asked for."""
    composed, decomposed = (
        "caf\u00e9 na\u00efve r\u00e9sum\u00e9 ca\u00f1on",
        "cafe\u0301 nai\u0308ve re\u0301sume\u0301 can\u0303on",
    )
    email = new_email()
    await auth.register(email, composed)
    tokens = await auth.sign_in(email, decomposed)
    body = {"current_password": decomposed, "new_password": decomposed + "!"}
    new = tokens_of(await auth.ask("POST", "/me/password", body, tokens.account))
    assert (await auth.ask("DELETE", "/me", {"password": composed + "!"}, new.account)).status == 204


async def test_a_token_of_another_user_and_session_does_not_fit(auth: Auth, keyring_file: Path) -> None:
    """A correctly signed token with another user's session, or an unknown one, is refused."""
    shared, account = Keyring(file=keyring_file), Keyring(file=account_keyring(keyring_file))
    signer = Signer(shared, account, issuer="auth", audiences=["posts"], own_audience="auth", lifetime=900)
    ada, grace = await auth.join(), await auth.join()
    user = await auth.app[ACCOUNTS].get(ada.id)
    for session in (grace.tokens.session, uuid4()):
        token = signer.mint(user, session, time.time(), time.time()).account
        assert says(await auth.me(token)) == ENDED
    assert (await auth.me(signer.mint(user, ada.tokens.session, time.time(), time.time()).account)).status == 200
