"""Refresh tokens: what they are exchanged for, when they are replaced, and what a stolen one is worth."""

import asyncio
import base64
import hashlib
import hmac
import itertools
import json
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from auth_service.handlers import SESSIONS
from auth_service.model import Client, SessionPolicy
from auth_service.refresh_tokens import FAMILY_BYTES, SECRET_BYTES, RefreshToken
from auth_service.store.sessions import SessionStore
from shared.base64url import decode
from shared.errors import DomainError
from tests.api_client import PASSWORD
from tests.auth_service.alone import Auth, Frozen, alone, frozen, says, tokens_of, without_id

CLIENT = Client("10.0.0.1", ["10.0.0.1"], "a test")
DAY = 86_400
REUSED = (401, "refresh_token_reused")
INVALID = (401, "refresh_token_invalid")
ENDED = (401, "session_ended")


def store(database: Frozen) -> SessionStore:
    """The session store on a database whose clock stands still."""
    return SessionStore(database, SessionPolicy(idle_seconds=14 * DAY, absolute_seconds=90 * DAY, grace_seconds=60))


async def row_of(auth: Auth, session: UUID) -> Any:
    """The database row of a session."""
    return await auth.database.fetchrow("SELECT * FROM sessions WHERE id = $1", session)


async def used(auth: Auth, token: str, key: str | None = None) -> str:
    """Refresh without HTTP; return the next refresh token, or the code of the error."""
    try:
        return str((await auth.app[SESSIONS].refresh(token, key, CLIENT, time.time())).refresh)
    except DomainError as problem:
        return problem.code


async def test_a_refresh_answers_as_a_log_in_does(auth: Auth) -> None:
    """A refresh gives a valid access token for the same session and a new refresh token, and is not cached."""
    member = await auth.join()
    reply = await auth.refresh(member.tokens.refresh)
    tokens = tokens_of(reply)
    assert reply.headers["Cache-Control"] == "no-store"
    assert set(reply.body) == {
        "access_token",
        "account_token",
        "token_type",
        "expires_in",
        "refresh_token",
        "scope",
    }
    assert (reply.body["token_type"], reply.body["expires_in"]) == ("Bearer", 900)
    assert tokens.session == member.tokens.session
    assert tokens.refresh != member.tokens.refresh
    assert tokens.account != member.tokens.account
    for access in (tokens.account, member.tokens.account):
        assert (await auth.me(access)).body["id"] == str(member.id)


async def test_within_the_grace_a_token_is_replaced_once(auth: Auth) -> None:
    """The first use replaces the token; within the grace period, it and its successor both give the successor."""
    first = (await auth.join()).tokens
    second = await auth.renewed(first.refresh)
    assert second.refresh != first.refresh
    await auth.keep_grace(first.session)
    for token in (second, first, first, second):
        assert (await auth.renewed(token.refresh)).refresh == second.refresh


async def test_after_the_grace_it_is_replaced_again(auth: Auth) -> None:
    """After the grace period, the current token is replaced at its next use, again and again."""
    tokens = (await auth.join()).tokens
    seen = [tokens.refresh]
    for _ in range(4):
        seen.append((await auth.renewed(seen[-1])).refresh)
        await auth.let_grace_end(tokens.session)
    assert len(set(seen)) == 5


@pytest.mark.parametrize(
    ("seconds", "current", "previous"), [(59.999, "current", "previous"), (60, "rotated", "reused")]
)
async def test_the_grace_is_sixty_seconds_by_the_database(
    auth: Auth, seconds: float, current: str, previous: str
) -> None:
    """The grace period of both tokens ends exactly sixty seconds after a rotation, by the database's clock."""
    first = (await auth.join()).tokens
    second = await auth.renewed(first.refresh)
    await auth.keep_grace(first.session)
    for tokens, outcome in ((second, current), (first, previous)):
        async with frozen(auth.database) as database:
            await auth.database.execute(
                "UPDATE sessions SET rotated_at = now() - $2 * interval '1 s' WHERE id = $1", first.session, seconds
            )
            token = RefreshToken.parse(tokens.refresh)
            assert token is not None
            found = await store(database).refresh(token, bytes(SECRET_BYTES), None, CLIENT)
            assert found is not None
            assert found.outcome == outcome


@pytest.mark.parametrize(("seconds", "status"), [(29, 200), (31, 401)])
async def test_the_grace_is_a_setting(database_url: str, keyring_file: Path, seconds: int, status: int) -> None:
    """REFRESH_GRACE_SECONDS sets how long a replaced token counts."""
    async with alone(database_url, keyring_file, refresh_grace_seconds=30) as auth:
        first = (await auth.join()).tokens
        await auth.renewed(first.refresh)
        await auth.database.execute(
            "UPDATE sessions SET rotated_at = now() - $2 * interval '1 s' WHERE id = $1", first.session, seconds
        )
        assert (await auth.refresh(first.refresh)).status == status


async def test_replicas_and_a_restart_change_nothing(database_url: str, keyring_file: Path) -> None:
    """A client that lost a reply gets the same successor from another replica, and after a restart."""
    async with alone(database_url, keyring_file) as one, alone(database_url, keyring_file) as two:
        first = (await one.join()).tokens
        second = await one.renewed(first.refresh)
        await one.keep_grace(first.session)
        for replica, token in itertools.product((one, two), (first, second)):
            assert (await replica.renewed(token.refresh)).refresh == second.refresh
    async with alone(database_url, keyring_file) as restarted:
        for token in (first, second):
            assert (await restarted.renewed(token.refresh)).refresh == second.refresh


@pytest.mark.slow
async def test_fifty_at_once_get_one_successor(database_url: str, keyring_file: Path) -> None:
    """In each of a hundred rounds, fifty simultaneous uses of one token all succeed with the same new successor."""
    async with alone(database_url, keyring_file, database_connections=50) as auth:
        tokens = (await auth.join()).tokens
        seen = [tokens.refresh]
        for _ in range(100):
            answers = Counter(await asyncio.gather(*(used(auth, seen[-1]) for _ in range(50))))
            assert list(answers.values()) == [50], answers
            seen.extend(answers)
            await auth.let_grace_end(tokens.session)
        assert len(set(seen)) == 101


@pytest.mark.slow
async def test_fifty_at_once_over_http_and_two_replicas(database_url: str, keyring_file: Path) -> None:
    """Fifty simultaneous refreshes over two replicas give one successor; so does a second wave with both tokens."""
    async with alone(database_url, keyring_file) as one, alone(database_url, keyring_file) as two:
        tokens = (await one.join()).tokens
        old, session = tokens.refresh, tokens.session
        for _ in range(3):
            replies = await asyncio.gather(*(replica.refresh(old) for replica in (one, two) for _ in range(25)))
            [current] = {tokens_of(reply).refresh for reply in replies}
            assert current != old
            await one.keep_grace(session)
            both = itertools.product((one, two), (old, current))
            replies = await asyncio.gather(*(replica.refresh(token) for replica, token in both for _ in range(12)))
            assert {tokens_of(reply).refresh for reply in replies} == {current}
            await one.let_grace_end(session)
            old = current


@pytest.mark.parametrize("times", [1, 2, 5])
async def test_a_token_that_was_replaced_ends_the_session(auth: Auth, times: int) -> None:
    """Using a replaced token ends the session at once for owner and thief, however often the other has refreshed."""
    member = await auth.join()
    other = await auth.sign_in(member.email)
    victim, thief = member.tokens, member.tokens
    for _ in range(times):
        thief = await auth.renewed(thief.refresh)
        await auth.let_grace_end(victim.session)
    reply = await auth.refresh(victim.refresh)
    assert says(reply) == REUSED
    assert reply.headers["WWW-Authenticate"] == 'Bearer realm="auth"'
    for tokens in (victim, thief):
        assert says(await auth.refresh(tokens.refresh)) == INVALID
        assert says(await auth.me(tokens.account)) == ENDED
    assert await auth.sessions_of(member.id) == {other.session}
    assert (await auth.me(other.account)).status == 200
    [event] = [event for event in await auth.events_of(member.id) if event["event"] == "refresh_token_reused"]
    assert event["session_id"] == victim.session


async def test_the_thief_with_the_old_token_ends_it_too(auth: Auth) -> None:
    """A stolen token that its owner has already used ends the session as soon as the thief uses it."""
    stolen = (await auth.join()).tokens
    owner = await auth.renewed((await auth.renewed(stolen.refresh)).refresh)
    await auth.let_grace_end(stolen.session)
    owner = await auth.renewed(owner.refresh)
    assert says(await auth.refresh(stolen.refresh)) == REUSED
    assert says(await auth.refresh(owner.refresh)) == INVALID
    assert says(await auth.me(owner.account)) == ENDED


async def test_within_the_grace_only_the_last_two_count(auth: Auth) -> None:
    """Only the current token and its predecessor have a grace period; an older token counts as reused."""
    first = (await auth.join()).tokens
    second = await auth.renewed(first.refresh)
    await auth.let_grace_end(first.session)
    third = await auth.renewed(second.refresh)
    await auth.keep_grace(first.session)
    assert (await auth.renewed(second.refresh)).refresh == third.refresh
    assert says(await auth.refresh(first.refresh)) == REUSED
    assert says(await auth.refresh(third.refresh)) == INVALID


async def test_a_secret_made_up_for_a_known_family_counts_as_reuse(auth: Auth) -> None:
    """A token with a session's family and a wrong secret is refused and ends the session."""
    tokens = (await auth.join()).tokens
    family = decode(tokens.refresh)[:FAMILY_BYTES]
    forged = str(RefreshToken(family, RefreshToken.new().secret))
    assert says(await auth.refresh(forged)) == REUSED
    assert says(await auth.refresh(tokens.refresh)) == INVALID


@pytest.mark.slow
async def test_thief_and_owner_at_once(database_url: str, keyring_file: Path) -> None:
    """When the old and the current token are used at once, one answer says reused, and then no token works."""
    async with alone(database_url, keyring_file, database_connections=20) as auth:
        member = await auth.join()
        for _ in range(10):
            first = await auth.sign_in(member.email)
            second = await auth.renewed(first.refresh)
            await auth.let_grace_end(first.session)
            answers = await asyncio.gather(
                *(used(auth, token) for _ in range(10) for token in (first.refresh, second.refresh))
            )
            codes = Counter(answer for answer in answers if "_" in answer and len(answer) < 64)
            successors = set(answers) - set(codes)
            assert codes["refresh_token_reused"] == 1, codes
            assert set(codes) <= {"refresh_token_reused", "refresh_token_invalid"}
            assert len(successors) <= 1
            for token in (first.refresh, second.refresh, *successors):
                assert await used(auth, token) == "refresh_token_invalid"


async def test_all_invalid_tokens_get_the_same_answer(auth: Auth) -> None:
    """Unknown, damaged, shortened, lengthened and padded tokens get the same answer and end no session."""
    tokens = (await auth.join()).tokens
    good = tokens.refresh
    assert len(good) == 64
    first_bit = bytes([decode(good)[0] ^ 1])
    wrong = {
        "unknown": str(RefreshToken.new()),
        "one bit of the family": base64.urlsafe_b64encode(first_bit + decode(good)[1:]).decode(),
        "one byte less": base64.urlsafe_b64encode(decode(good)[:-1]).decode().rstrip("="),
        "one byte more": base64.urlsafe_b64encode(decode(good) + b"x").decode().rstrip("="),
        "one character less": good[:-1],
        "one character more": good + "A",
        "padded": good + "====",
        "blank in front": " " + good,
        "line break behind": good + "\n",
        "the other alphabet": base64.b64encode(b"\xff" * (FAMILY_BYTES + SECRET_BYTES)).decode(),
        "hexadecimal": decode(good).hex(),
        "one character": "A",
        "255 characters": "A" * 255,
        "not ASCII": "ä" * 64,
        "NUL": "\0" * 64,
        "a session's id": str(tokens.session),
    }
    answers = {name: await auth.refresh(token) for name, token in wrong.items()}
    assert {name: says(reply) for name, reply in answers.items()} == dict.fromkeys(wrong, INVALID)
    bodies = {name: without_id(reply) for name, reply in answers.items()}
    assert all(body == bodies["unknown"] for body in bodies.values())
    assert {reply.headers["WWW-Authenticate"] for reply in answers.values()} == {'Bearer realm="auth"'}
    assert tokens_of(await auth.refresh(good)).session == tokens.session


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({}, "/refresh_token", "field_missing"),
        ({"refresh_token": 7}, "/refresh_token", "type_wrong"),
        ({"refresh_token": ""}, "/refresh_token", "too_short"),
        ({"refresh_token": "A" * 256}, "/refresh_token", "too_long"),
        ({"refresh_token": "\ud800"}, "/refresh_token", "text_refused"),
        ({"refresh_token": "A" * 64, "access_token": ""}, "/access_token", "field_unknown"),
    ],
)
async def test_a_wrong_body_is_named(auth: Auth, body: object, pointer: str, code: str) -> None:
    """An invalid body gets 422, and the field is named."""
    reply = await auth.ask("POST", "/refresh", body)
    assert says(reply) == (422, "validation_failed")
    assert [(error["pointer"], error["code"]) for error in reply.body["errors"]] == [(pointer, code)]


async def test_a_session_ends_after_14_days_without_use_and_90_days_at_most(auth: Auth) -> None:
    """A session expires 14 days after its last use, and 90 days after the log-in at the latest."""
    first = (await auth.join()).tokens
    row = await row_of(auth, first.session)
    assert row["expires_at"] - row["created_at"] == timedelta(days=14)
    token = RefreshToken.parse(first.refresh)
    assert token is not None
    for age, left in ((0, 14), (13, 14), (76, 14), (77, 13), (89, 1)):
        async with frozen(auth.database) as database:
            await auth.database.execute(
                "UPDATE sessions SET created_at = now() - $2 * interval '1 day', expires_at = now() + interval '1 s'"
                " WHERE id = $1",
                first.session,
                age,
            )
            assert await store(database).refresh(token, bytes(SECRET_BYTES), None, CLIENT) is not None
            expires = await auth.database.fetchval(
                "SELECT expires_at - now() FROM sessions WHERE id = $1", first.session
            )
            assert expires == timedelta(days=left), age


async def test_the_days_are_settings(database_url: str, keyring_file: Path) -> None:
    """SESSION_IDLE_SECONDS and SESSION_ABSOLUTE_SECONDS set both limits; the shorter one decides."""
    for idle, absolute, wanted in ((3600, 7200, 3600), (7200, 3600, 3600)):
        async with alone(
            database_url, keyring_file, session_idle_seconds=idle, session_absolute_seconds=absolute
        ) as auth:
            row = await row_of(auth, (await auth.join()).tokens.session)
            assert row["expires_at"] - row["created_at"] == timedelta(seconds=wanted)


async def test_the_tokens_of_an_expired_session_are_refused(auth: Auth) -> None:
    """Once a session has expired, auth refuses its access tokens, its refresh token and the predecessor."""
    first = (await auth.join()).tokens
    second = await auth.renewed(first.refresh)
    await auth.keep_grace(first.session)
    await auth.expire(first.session)
    for tokens in (first, second):
        assert says(await auth.refresh(tokens.refresh)) == INVALID
        assert says(await auth.me(tokens.account)) == ENDED


@pytest.mark.parametrize("grace", [True, False])
async def test_the_row_holds_no_token(auth: Auth, grace: bool) -> None:
    """No column contains a token's family or secret in any encoding, before, during or after the grace period."""
    tokens = (await auth.join()).tokens
    used_tokens = [tokens.refresh]
    for _ in range(2):
        await _assert_unreadable(auth, tokens.session, used_tokens)
        used_tokens.append((await auth.renewed(used_tokens[-1])).refresh)
        await _assert_unreadable(auth, tokens.session, used_tokens)
        if not grace:
            await auth.let_grace_end(tokens.session)


async def _assert_unreadable(auth: Auth, session: UUID, tokens: list[str]) -> None:
    """Check that the row, as values and as text, contains no part of these tokens."""
    row = await row_of(auth, session)
    values = [value for value in row.values() if isinstance(value, bytes)]
    text = str(await auth.database.fetchval("SELECT sessions::text FROM sessions WHERE id = $1", session))
    assert values
    assert all(value.hex() in text for value in values), "the text shows the columns in hexadecimal"
    for token in tokens:
        data = decode(token)
        for part in (data, data[:FAMILY_BYTES], data[FAMILY_BYTES:]):
            assert all(part not in value and value not in part for value in values)
            for written in (part.hex(), base64.b64encode(part).decode(), base64.urlsafe_b64encode(part).decode()):
                assert written.rstrip("=").lower() not in text.lower()


@pytest.mark.slow
async def test_a_dump_and_the_shared_secret_make_no_token(auth: Auth, keyring_file: Path) -> None:
    """No refresh token can be derived from a session's row and the signing key, even during the grace period."""
    first = (await auth.join()).tokens
    second = await auth.renewed(first.refresh)
    await auth.keep_grace(first.session)
    row = await row_of(auth, first.session)
    assert row["nonce"] is not None
    assert row["previous_hash"] is not None
    [key] = (decode(entry["k"]) for entry in json.loads(keyring_file.read_text())["keys"])
    columns = [value for value in row.values() if isinstance(value, bytes)]
    columns += [row["id"].bytes, row["user_id"].bytes, key]
    made = {hmac.digest(one, other, hashlib.sha256) for one, other in itertools.product(columns, columns)}
    made |= {hashlib.sha256(label + value).digest() for label in (b"", b"family", b"secret") for value in columns}
    families = {value[at : at + FAMILY_BYTES] for value in columns for at in (0, FAMILY_BYTES)} - {b""}
    secrets = made | {value for value in columns if len(value) == SECRET_BYTES}
    forged = [RefreshToken(family, secret) for family in families for secret in secrets]
    assert len(forged) > 500
    assert {await used(auth, str(token)) for token in forged} == {"refresh_token_invalid"}
    assert (await auth.renewed(second.refresh)).refresh == second.refresh
    # someone who knows the family from an old token has not derived either secret
    assert secrets.isdisjoint(decode(tokens.refresh)[FAMILY_BYTES:] for tokens in (first, second))


async def test_the_nonce_alone_makes_no_successor(auth: Auth) -> None:
    """Deriving the successor takes both the predecessor's secret and the row's nonce."""
    first = (await auth.join()).tokens
    second = await auth.renewed(first.refresh)
    await auth.keep_grace(first.session)
    nonce = (await row_of(auth, first.session))["nonce"]
    token = RefreshToken.parse(first.refresh)
    assert token is not None
    assert str(token.successor(nonce)) == second.refresh
    assert str(token.successor(bytes(SECRET_BYTES))) != second.refresh
    assert str(RefreshToken(token.family, bytes(SECRET_BYTES)).successor(nonce)) != second.refresh


async def test_a_refresh_gives_name_and_role_as_they_are_now(auth: Auth) -> None:
    """The new access token has the user's current name and scope, whatever the last one had."""
    member = await auth.join("Ada")
    token = member.tokens.refresh
    assert member.tokens.claims["scope"] == "posts:read posts:write"
    for name, role, more in (
        ("Grace", "moderator", " posts:moderate"),
        ("Edsger", "admin", " posts:moderate"),
        ("Barbara", "user", ""),
    ):
        await auth.database.execute("UPDATE users SET name = $2, role = $3 WHERE id = $1", member.id, name, role)
        reply = await auth.refresh(token)
        assert reply.body["scope"] == "posts:read posts:write" + more
        tokens = tokens_of(reply)
        assert (tokens.claims["name"], tokens.claims["scope"]) == (name, reply.body["scope"])
        assert tokens.account_claims["scope"] == ("users:admin" if role == "admin" else "")
        token = tokens.refresh


async def test_a_disabled_user_can_not_refresh(auth: Auth) -> None:
    """A disabled user gets no token, even if a session is left."""
    member = await auth.join()
    await auth.database.execute("UPDATE users SET disabled_at = now() WHERE id = $1", member.id)
    assert await auth.sessions_of(member.id) == {member.tokens.session}
    assert says(await auth.refresh(member.tokens.refresh)) == INVALID


async def test_a_refresh_is_seen_in_the_list_of_sessions(auth: Auth) -> None:
    """A refresh updates the session's last use and address; a refused refresh changes nothing."""
    member = await auth.join()
    tokens = await auth.sign_in(member.email, **{"X-Forwarded-For": "192.0.2.1"})
    opened = await row_of(auth, tokens.session)
    assert str(opened["address"]) == "192.0.2.1"
    assert opened["last_used_at"] == opened["created_at"]
    renewed = await auth.renewed(tokens.refresh, **{"X-Forwarded-For": "2001:db8::1"})
    after = await row_of(auth, tokens.session)
    assert str(after["address"]) == "2001:db8::1"
    assert after["last_used_at"] > opened["last_used_at"]
    assert (after["created_at"], after["device"]) == (opened["created_at"], opened["device"])
    listed = await auth.ask("GET", "/sessions", token=renewed.account)
    [shown] = [each for each in listed.body["items"] if each["id"] == str(tokens.session)]
    assert shown["address"] == "2001:db8::1"
    assert says(await auth.refresh(renewed.refresh[:-1], **{"X-Forwarded-For": "192.0.2.9"})) == INVALID
    assert await row_of(auth, tokens.session) == after


KEY = "8e03978e-40d5-43e8-bc93-6894a57f9324"


async def test_with_its_key_a_token_gets_the_same_successor_after_the_grace(
    database_url: str, keyring_file: Path
) -> None:
    """A client that lost the answer sends token and key again, to any replica and after a restart, and carries on."""
    async with alone(database_url, keyring_file) as one, alone(database_url, keyring_file) as two:
        first = (await one.join()).tokens
        second = await one.renewed(first.refresh, **{"Idempotency-Key": KEY})
        await one.let_grace_end(first.session)
        for replica in (one, two, one):
            again = await replica.renewed(first.refresh, **{"Idempotency-Key": KEY})
            assert again.refresh == second.refresh
            assert (await replica.me(again.account)).status == 200
    async with alone(database_url, keyring_file) as restarted:
        assert (await restarted.renewed(first.refresh, **{"Idempotency-Key": KEY})).refresh == second.refresh
        third = await restarted.renewed(second.refresh)
        assert third.refresh != second.refresh
        await restarted.let_grace_end(first.session)
        assert (await restarted.renewed(third.refresh)).session == first.session


@pytest.mark.parametrize(("seconds", "outcome"), [(DAY - 0.001, "repeated"), (DAY, "reused")])
async def test_a_key_counts_for_24_hours_by_the_database(auth: Auth, seconds: float, outcome: str) -> None:
    """A replaced token with its key counts for exactly 24 hours after the rotation, by the database's clock."""
    first = (await auth.join()).tokens
    await auth.renewed(first.refresh, **{"Idempotency-Key": KEY})
    token = RefreshToken.parse(first.refresh)
    assert token is not None
    async with frozen(auth.database) as database:
        await auth.database.execute(
            "UPDATE sessions SET rotated_at = now() - $2 * interval '1 s' WHERE id = $1", first.session, seconds
        )
        found = await store(database).refresh(token, bytes(SECRET_BYTES), KEY, CLIENT)
        assert found is not None
        assert found.outcome == outcome


@pytest.mark.parametrize("rotates", [False, True])
async def test_once_the_successor_was_used_the_key_is_worth_nothing(auth: Auth, rotates: bool) -> None:
    """Each use of the successor, even one that doesn't replace it, shows that it arrived; the old one is reuse then."""
    member = await auth.join()
    first = member.tokens
    second = await auth.renewed(first.refresh, **{"Idempotency-Key": KEY})
    if rotates:
        await auth.let_grace_end(first.session)
    used_again = await auth.renewed(second.refresh)
    assert (used_again.refresh != second.refresh) is rotates
    await auth.let_grace_end(first.session)
    assert says(await auth.refresh(first.refresh, **{"Idempotency-Key": KEY})) == REUSED
    assert says(await auth.refresh(used_again.refresh)) == INVALID
    assert await auth.sessions_of(member.id) == set()


@pytest.mark.parametrize(("first_key", "second_key"), [(KEY, None), (KEY, KEY + "0"), (None, KEY), (None, None)])
async def test_theft_is_found_without_the_key(auth: Auth, first_key: str | None, second_key: str | None) -> None:
    """After the grace period, a replaced token without the key of its first use ends the session, also for the key."""
    member = await auth.join()
    stolen = member.tokens
    owner = await auth.renewed(stolen.refresh, **({"Idempotency-Key": first_key} if first_key else {}))
    await auth.let_grace_end(stolen.session)
    thief = {"Idempotency-Key": second_key} if second_key else {}
    assert says(await auth.refresh(stolen.refresh, **thief)) == REUSED
    for token in (stolen, owner):
        assert says(await auth.refresh(token.refresh, **{"Idempotency-Key": KEY})) == INVALID
    assert says(await auth.me(owner.account)) == ENDED
    [event] = [event for event in await auth.events_of(member.id) if event["event"] == "refresh_token_reused"]
    assert event["session_id"] == stolen.session


@pytest.mark.parametrize("thief_first", [False, True])
async def test_thief_and_owner_do_not_walk_on_side_by_side(auth: Auth, thief_first: bool) -> None:
    """If a thief got the successor within the grace and the owner by the key, the second to use it ends the session."""
    stolen = (await auth.join()).tokens
    await auth.renewed(stolen.refresh, **{"Idempotency-Key": KEY})
    thief = await auth.renewed(stolen.refresh)
    await auth.let_grace_end(stolen.session)
    owner = await auth.renewed(stolen.refresh, **{"Idempotency-Key": KEY})
    assert owner.refresh == thief.refresh
    first, second = ("thief", "owner") if thief_first else ("owner", "thief")
    ahead = await auth.renewed(thief.refresh, **{"Idempotency-Key": first})
    await auth.let_grace_end(stolen.session)
    assert says(await auth.refresh(owner.refresh, **{"Idempotency-Key": second})) == REUSED
    assert says(await auth.refresh(ahead.refresh)) == INVALID


async def test_the_thief_who_used_the_successor_first_is_found_by_the_owners_repetition(auth: Auth) -> None:
    """If a thief took the successor within the grace period and used it, the owner's token with its key is a reuse."""
    stolen = (await auth.join()).tokens
    await auth.renewed(stolen.refresh, **{"Idempotency-Key": KEY})
    thief = await auth.renewed(stolen.refresh)
    await auth.let_grace_end(stolen.session)
    thief = await auth.renewed(thief.refresh)
    assert says(await auth.refresh(stolen.refresh, **{"Idempotency-Key": KEY})) == REUSED
    assert says(await auth.refresh(thief.refresh)) == INVALID


async def test_a_key_belongs_to_one_token(auth: Auth) -> None:
    """One key with several tokens, of one session or two, repeats only the last replacement of each session."""
    key = {"Idempotency-Key": KEY}
    member = await auth.join()
    first, other = member.tokens, await auth.sign_in(member.email)
    second, renewed_other = await auth.renewed(first.refresh, **key), await auth.renewed(other.refresh, **key)
    for tokens in (first, other):
        await auth.let_grace_end(tokens.session)
    third = await auth.renewed(second.refresh, **key)
    await auth.let_grace_end(first.session)
    assert (await auth.renewed(second.refresh, **key)).refresh == third.refresh
    assert (await auth.renewed(other.refresh, **key)).refresh == renewed_other.refresh
    assert says(await auth.refresh(first.refresh, **key)) == REUSED
    assert (await auth.renewed(other.refresh, **key)).refresh == renewed_other.refresh


async def test_the_key_of_the_use_that_replaces_the_token_counts(auth: Auth) -> None:
    """A key that is sent with a token too early to be replaced is kept when the token is replaced, and works then."""
    key = {"Idempotency-Key": KEY}
    first = (await auth.join()).tokens
    second = await auth.renewed(first.refresh)
    assert (await auth.renewed(second.refresh, **key)).refresh == second.refresh
    await auth.let_grace_end(first.session)
    third = await auth.renewed(second.refresh, **key)
    await auth.let_grace_end(first.session)
    assert (await auth.renewed(second.refresh, **key)).refresh == third.refresh


async def test_two_requests_with_one_key_at_once(database_url: str, keyring_file: Path) -> None:
    """Simultaneous uses of one token and key, at two replicas, get one successor, within the grace and after it."""
    async with alone(database_url, keyring_file) as one, alone(database_url, keyring_file) as two:
        first = (await one.join()).tokens
        seen = set()
        for _ in range(2):
            uses = (used(replica, first.refresh, KEY) for replica in (one, two) for _ in range(10))
            seen |= set(await asyncio.gather(*uses))
            await one.let_grace_end(first.session)
        [successor] = seen
        assert (await two.renewed(successor)).session == first.session


@pytest.mark.slow
async def test_the_old_token_with_its_key_and_the_new_one_at_once(database_url: str, keyring_file: Path) -> None:
    """When the old token with its key and the successor are used at once, at most one new token is made."""
    async with alone(database_url, keyring_file, database_connections=20) as auth:
        member = await auth.join()
        for _ in range(10):
            first = await auth.sign_in(member.email)
            second = await auth.renewed(first.refresh, **{"Idempotency-Key": KEY})
            await auth.let_grace_end(first.session)
            answers = await asyncio.gather(
                *(used(auth, token, KEY) for _ in range(10) for token in (first.refresh, second.refresh))
            )
            new = {answer for answer in answers if len(answer) == len(first.refresh)} - {second.refresh}
            assert len(new) <= 1, answers
            # the successor was used, so the next repetition is a reuse, if none before was
            assert await used(auth, first.refresh, KEY) in ("refresh_token_reused", "refresh_token_invalid")
            for token in (second.refresh, *new):
                assert await used(auth, token) == "refresh_token_invalid"


@pytest.mark.parametrize("key", ["", "two words", "ä", "k" * 256])
async def test_a_malformed_key_is_refused_and_the_token_not_used(auth: Auth, key: str) -> None:
    """A key that isn't 1 to 255 visible ASCII characters gets 400, and the token is still the current one."""
    first = (await auth.join()).tokens
    reply = await auth.refresh(first.refresh, **{"Idempotency-Key": key})
    assert says(reply) == (400, "header_invalid")
    assert reply.body["errors"] == [
        {
            "header": "Idempotency-Key",
            "code": "header_invalid",
            "message": "it must be one header of 1 to 255 visible ASCII characters",
        }
    ]
    assert (await row_of(auth, first.session))["rotated_at"] is None
    assert (await auth.refresh(first.refresh, **{"Idempotency-Key": "k" * 255})).status == 200


async def test_a_repetition_is_a_use_of_the_session(auth: Auth) -> None:
    """A repetition moves last use, address and expiry as every refresh does, but not the time of the rotation."""
    first = (await auth.join()).tokens
    await auth.renewed(first.refresh, **{"Idempotency-Key": KEY})
    await auth.let_grace_end(first.session)
    before = await row_of(auth, first.session)
    await auth.renewed(first.refresh, **{"Idempotency-Key": KEY, "X-Forwarded-For": "2001:db8::1"})
    after = await row_of(auth, first.session)
    changed = {column for column, value in before.items() if after[column] != value}
    assert changed == {"last_used_at", "expires_at", "address"}
    assert after["expires_at"] - after["last_used_at"] == timedelta(days=14)


async def test_a_key_outlives_neither_its_session_nor_a_new_password(auth: Auth) -> None:
    """When the session has expired, or its refresh token was replaced with the password, token and key are invalid."""
    key = {"Idempotency-Key": KEY}
    expired, changed = await auth.join(), await auth.join()
    for member in (expired, changed):
        await auth.renewed(member.tokens.refresh, **key)
        await auth.let_grace_end(member.tokens.session)
    await auth.expire(expired.tokens.session)
    body = {"current_password": PASSWORD, "new_password": PASSWORD[::-1]}
    new = tokens_of(await auth.ask("POST", "/me/password", body, changed.tokens.account))
    for member in (expired, changed):
        assert says(await auth.refresh(member.tokens.refresh, **key)) == INVALID
    row = await row_of(auth, new.session)
    assert (row["key_hash"], row["sealed_nonce"]) == (None, None)


async def test_a_log_out_ignores_the_key(auth: Auth) -> None:
    """Logging out with a replaced token after the grace period ends the session and is recorded as a reuse."""
    member = await auth.join()
    key = {"Idempotency-Key": KEY}
    await auth.renewed(member.tokens.refresh, **key)
    await auth.let_grace_end(member.tokens.session)
    reply = await auth.ask("POST", "/logout", {"refresh_token": member.tokens.refresh}, headers=key)
    assert reply.status == 204
    assert await auth.sessions_of(member.id) == set()
    assert [event["event"] for event in await auth.events_of(member.id)][-1] == "refresh_token_reused"


async def test_a_replica_without_keys_makes_none_outlive_its_token(auth: Auth) -> None:
    """If a replica of an older version, which doesn't know keys, replaces the successor, the old key counts no more."""
    first = (await auth.join()).tokens
    second = await auth.renewed(first.refresh, **{"Idempotency-Key": KEY})
    token = RefreshToken.parse(second.refresh)
    assert token is not None
    await auth.database.execute(
        "UPDATE sessions SET secret_hash = $2, previous_hash = $3, nonce = $4, rotated_at = now() WHERE id = $1",
        first.session,
        token.successor(bytes(SECRET_BYTES)).secret_hash,
        token.secret_hash,
        bytes(SECRET_BYTES),
    )
    assert says(await auth.refresh(first.refresh, **{"Idempotency-Key": KEY})) == REUSED


@pytest.mark.parametrize("swept", [False, True])
async def test_a_dump_and_an_old_token_make_no_token_without_the_key(auth: Auth, swept: bool) -> None:
    """After the grace period, neither a replaced token nor its key makes the successor from the row; both do."""
    first = (await auth.join()).tokens
    second = await auth.renewed(first.refresh, **{"Idempotency-Key": KEY})
    if swept:
        await auth.database.execute(
            "UPDATE sessions SET nonce = NULL, previous_hash = NULL WHERE id = $1", first.session
        )
    row = await row_of(auth, first.session)
    assert (row["nonce"] is None) is swept
    old, new = RefreshToken.parse(first.refresh), RefreshToken.parse(second.refresh)
    assert old is not None
    assert new is not None
    assert old.successor(old.sealed(row["sealed_nonce"], KEY)) == new

    columns = {name: value for name, value in row.items() if isinstance(value, bytes) and name != "nonce"}
    assert KEY.encode() not in b"".join(columns.values())
    stranger = RefreshToken(old.family, bytes(SECRET_BYTES))
    made = {old.successor(value).secret for value in columns.values()}
    for guess in ("", KEY[:-1], KEY + "0"):
        made |= {old.successor(old.sealed(value, guess)).secret for value in columns.values()}
    made |= {stranger.successor(stranger.sealed(value, KEY)).secret for value in columns.values()}
    made |= {hmac.digest(one, other, hashlib.sha256) for one, other in itertools.product(columns.values(), repeat=2)}
    made |= {
        bytes(a ^ b for a, b in zip(one, other, strict=True))
        for one, other in itertools.product([*columns.values(), old.secret], repeat=2)
    }
    assert new.secret not in made
