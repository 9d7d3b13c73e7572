"""Expired rows are deleted, and no client notices."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from auth_service.model import SessionPolicy
from auth_service.store.sweep import BATCH, SweepStore
from auth_service.throttle import KNOWN_SECONDS
from shared.database.pool import Database
from tests.api_client import Reply
from tests.auth_service.alone import Auth, Member, alone, frozen, says
from tests.postgres import opened

_LOCK = 0x73776565
"""The advisory lock of a sweeping replica; replicas of other versions use the same one."""

POLICY = SessionPolicy(idle_seconds=14 * 86_400, absolute_seconds=90 * 86_400, grace_seconds=60)


@pytest.fixture
async def auth(database_url: str, keyring_file: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Auth]:
    """A service that doesn't sweep by itself, so that a test can decide when."""
    monkeypatch.setattr("shared.database.sweep.PAUSE_SECONDS", 3600)
    async with alone(database_url, keyring_file) as auth:
        yield auth


@pytest.fixture
async def databases(auth: Auth, database_url: str) -> AsyncIterator[list[Database]]:
    """The database connections of two replicas."""
    assert auth.auth, "its start created the tables"
    async with opened(database_url) as one, opened(database_url) as other:
        yield [one, other]


@pytest.fixture
def replicas(databases: list[Database]) -> list[SweepStore]:
    """The sweep stores of two replicas."""
    return [SweepStore(database, POLICY, KNOWN_SECONDS) for database in databases]


async def add_sessions(auth: Auth, member: Member, count: int, expires: str) -> None:
    """Add `count` sessions to a user; `expires` is an SQL expression."""
    await auth.database.execute(
        "INSERT INTO sessions (id, user_id, family_hash, secret_hash, device, address, expires_at)"
        f" SELECT gen_random_uuid(), $1, uuid_send(gen_random_uuid()), '', '', '::1', {expires}"
        "   FROM generate_series(1, $2)",
        member.id,
        count,
    )


async def count(auth: Auth) -> int:
    """The number of sessions."""
    rows: int = await auth.database.fetchval("SELECT count(*) FROM sessions")
    return rows


async def test_expired_sessions_go_and_others_stay(auth: Auth) -> None:
    """A session is deleted from the moment it expires, and not a microsecond earlier."""
    member, over = await auth.join(), await auth.join()
    async with frozen(auth.database) as database:
        for tokens, expires in ((member.tokens, "now() + interval '1 us'"), (over.tokens, "now()")):
            await auth.database.execute(f"UPDATE sessions SET expires_at = {expires} WHERE id = $1", tokens.session)
        assert await SweepStore(database, POLICY, KNOWN_SECONDS).sweep() is False
        assert await auth.sessions_of(member.id) == {member.tokens.session}
        assert await auth.sessions_of(over.id) == set()


async def test_a_round_is_made_of_small_batches(auth: Auth, replicas: list[SweepStore]) -> None:
    """A sweep deletes at most one batch, and says whether there may be more to delete."""
    member = await auth.join()
    await add_sessions(auth, member, 2 * BATCH + 1, "now() - interval '1 s'")
    left = []
    for more in (True, True, False):
        assert await replicas[0].sweep() is more
        left.append(await count(auth))
    assert left == [BATCH + 2, 2, 1]
    assert await auth.sessions_of(member.id) == {member.tokens.session}


async def test_one_replica_sweeps_at_a_time(auth: Auth, replicas: list[SweepStore]) -> None:
    """While one replica is sweeping, another deletes nothing and doesn't wait."""
    await add_sessions(auth, await auth.join(), 3, "now()")
    async with auth.database.transaction():
        await auth.database.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
        for replica in replicas:
            assert await asyncio.wait_for(replica.sweep(), 30) is False
        assert await count(auth) == 4
    assert await replicas[1].sweep() is False
    assert await count(auth) == 1


@pytest.mark.slow
async def test_replicas_that_sweep_at_once_do_not_disturb_each_other(auth: Auth, databases: list[Database]) -> None:
    """Two replicas sweep until nothing is left while users log in, refresh and log out, and nothing fails."""
    member = await auth.join()
    await add_sessions(auth, member, 4 * BATCH, "now() - interval '1 s'")

    async def sweep(database: Database) -> None:
        while await left(database):
            await SweepStore(database, POLICY, KNOWN_SECONDS).sweep()

    async def left(database: Database) -> bool:
        async with database.connection() as connection:
            return bool(await connection.fetchval("SELECT EXISTS (SELECT FROM sessions WHERE expires_at <= now())"))

    async def use() -> None:
        user = await auth.join()
        tokens = await auth.renewed(user.tokens.refresh)
        assert (await auth.ask("POST", "/logout", {"refresh_token": tokens.refresh})).status == 204

    await asyncio.gather(*(sweep(database) for database in databases), *(use() for _ in range(5)))
    assert await count(auth) == 1


async def test_a_session_that_is_just_being_refreshed_is_left(auth: Auth, replicas: list[SweepStore]) -> None:
    """A refresh in time wins, even if the sweep runs before it is committed, and neither waits for the other."""
    kept, over = await auth.join(), await auth.join()
    for member in (kept, over):
        await auth.expire(member.tokens.session)
    async with auth.database.transaction():
        await auth.database.execute(
            "UPDATE sessions SET expires_at = now() + interval '1 day' WHERE id = $1", kept.tokens.session
        )
        assert await asyncio.wait_for(replicas[0].sweep(), 30) is False
    assert await auth.sessions_of(kept.id) == {kept.tokens.session}
    assert await auth.sessions_of(over.id) == set()


@pytest.mark.parametrize(("seconds", "cleared"), [(59.999, False), (60, True)])
async def test_a_nonce_stands_in_the_row_only_during_the_grace(auth: Auth, seconds: float, cleared: bool) -> None:
    """Sixty seconds after a rotation, a sweep clears the nonce and the predecessor's hash, and nothing else."""
    tokens = (await auth.join()).tokens
    assert await nonce_and_previous(auth, tokens.session) == (False, False)
    await auth.refresh(tokens.refresh)
    assert await nonce_and_previous(auth, tokens.session) == (True, True)
    async with frozen(auth.database) as database:
        await auth.database.execute(
            "UPDATE sessions SET rotated_at = now() - $2 * interval '1 s' WHERE id = $1", tokens.session, seconds
        )
        [before] = await auth.database.fetch("SELECT * FROM sessions")
        assert await SweepStore(database, POLICY, KNOWN_SECONDS).sweep() is False
        [after] = await auth.database.fetch("SELECT * FROM sessions")
    changed = {column for column, value in before.items() if after[column] != value}
    assert changed == ({"nonce", "previous_hash"} if cleared else set())


async def nonce_and_previous(auth: Auth, session: UUID) -> tuple[bool, bool]:
    """Whether a session's row has a nonce, and whether it has a predecessor's hash."""
    [row] = await auth.database.fetch("SELECT nonce, previous_hash FROM sessions WHERE id = $1", session)
    return row["nonce"] is not None, row["previous_hash"] is not None


async def test_nonces_go_in_batches_too(auth: Auth, replicas: list[SweepStore]) -> None:
    """A sweep clears the nonces of at most one batch of sessions."""
    await add_sessions(auth, await auth.join(), BATCH + 1, "now() + interval '1 day'")
    await auth.database.execute(
        "UPDATE sessions SET nonce = 'n', previous_hash = 'p', rotated_at = now() - interval '60 s' WHERE device = ''"
    )
    left = []
    for more in (True, False):
        assert await replicas[0].sweep() is more
        left.append(await auth.database.fetchval("SELECT count(*) FROM sessions WHERE nonce IS NOT NULL"))
    assert left == [1, 0]


@pytest.mark.parametrize(("seconds", "cleared"), [(86_399.999, False), (86_400, True)])
async def test_a_sealed_nonce_stands_in_the_row_for_a_day(auth: Auth, seconds: float, cleared: bool) -> None:
    """24 hours after a rotation with an idempotency key, a sweep clears the sealed nonce and the hash of the key."""
    tokens = (await auth.join()).tokens
    await auth.refresh(tokens.refresh, **{"Idempotency-Key": "a-key"})
    async with frozen(auth.database) as database:
        await auth.database.execute(
            "UPDATE sessions SET rotated_at = now() - $2 * interval '1 s' WHERE id = $1", tokens.session, seconds
        )
        assert await SweepStore(database, POLICY, KNOWN_SECONDS).sweep() is False
        [row] = await auth.database.fetch("SELECT * FROM sessions")
    assert row["nonce"] is None
    assert (row["key_hash"] is None, row["sealed_nonce"] is None) == (cleared, cleared)


async def test_sealed_nonces_go_in_batches_too(auth: Auth, replicas: list[SweepStore]) -> None:
    """A sweep clears the sealed nonces of at most one batch of sessions."""
    await add_sessions(auth, await auth.join(), BATCH + 1, "now() + interval '1 day'")
    await auth.database.execute(
        "UPDATE sessions SET sealed_nonce = 's', rotated_at = now() - interval '1 day' WHERE device = ''"
    )
    left = []
    for more in (True, False):
        assert await replicas[0].sweep() is more
        left.append(await auth.database.fetchval("SELECT count(*) FROM sessions WHERE sealed_nonce IS NOT NULL"))
    assert left == [1, 0]


async def test_a_client_sees_no_difference(auth: Auth, replicas: list[SweepStore]) -> None:
    """Every answer about an ended session or a replaced token is the same before and after a sweep."""
    answers = []
    for swept in (False, True):
        member = await auth.join()
        asks = member.tokens
        over, closed, old, lost = [await auth.sign_in(member.email) for _ in range(4)]
        key = {"Idempotency-Key": "a-key"}
        renewed_lost = await auth.renewed(lost.refresh, **key)
        await auth.let_grace_end(lost.session)
        renewed_over, renewed_old = await auth.renewed(over.refresh), await auth.renewed(old.refresh)
        await auth.expire(over.session)
        assert (await auth.ask("POST", "/logout", token=closed.account)).status == 204
        await auth.let_grace_end(old.session)
        if swept:
            await replicas[0].sweep()
            assert await auth.sessions_of(member.id) == {asks.session, old.session, lost.session}
            assert await nonce_and_previous(auth, old.session) == (False, False)
        listed = await auth.ask("GET", "/sessions", token=asks.account)
        listed_ids = [item["id"] for item in listed.body["items"]]
        assert listed_ids == [str(session) for session in (old.session, lost.session, asks.session)]
        assert (await auth.renewed(lost.refresh, **key)).refresh == renewed_lost.refresh
        answers.append(
            [
                await auth.me(over.account),
                await auth.ask("GET", "/sessions", token=over.account),
                await auth.ask("DELETE", "/sessions", token=over.account),
                await auth.refresh(renewed_over.refresh),
                await auth.refresh(over.refresh),
                await auth.ask("DELETE", f"/sessions/{over.session}", token=asks.account),
                await auth.ask("DELETE", f"/sessions/{closed.session}", token=asks.account),
                await auth.ask("POST", "/logout", {"refresh_token": over.refresh}),
                await auth.ask("POST", "/logout", token=over.account),
                await auth.refresh(closed.refresh),
                await auth.refresh(old.refresh),
                await auth.refresh(renewed_old.refresh),
                await auth.me(old.account),
            ]
        )
    before, after = ([_comparable(reply) for reply in replies] for replies in answers)
    assert before == after
    codes = [reply.code if reply.body else "" for reply in answers[0]]
    assert codes == [
        *["session_ended"] * 3,
        *["refresh_token_invalid"] * 2,
        *["not_found"] * 2,
        *[""] * 2,
        "refresh_token_invalid",
        "refresh_token_reused",
        "refresh_token_invalid",
        "session_ended",
    ]


def _comparable(reply: Reply) -> tuple[int, Any, dict[str, str]]:
    headers = {name: value for name, value in reply.headers.items() if name not in ("Date", "X-Request-ID")}
    return reply.status, reply.body and {**reply.body, "request_id": ""}, headers


async def test_the_current_token_is_good_after_a_sweep(auth: Auth, replicas: list[SweepStore]) -> None:
    """A sweep between two refreshes doesn't affect a client that uses its current token."""
    tokens = (await auth.join()).tokens
    for _ in range(3):
        tokens = await auth.renewed(tokens.refresh)
        await auth.let_grace_end(tokens.session)
        await replicas[0].sweep()
    assert (await auth.me(tokens.account)).status == 200


async def test_a_failure_does_not_end_the_sweeping(
    database_url: str, keyring_file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """If a round fails, here because a table is missing, the next round still runs."""
    monkeypatch.setattr("shared.database.sweep.PAUSE_SECONDS", 0.02)
    async with alone(database_url, keyring_file) as auth:
        member = await auth.join()
        await auth.database.execute("ALTER TABLE attempts RENAME TO attempts_elsewhere")
        await auth.expire(member.tokens.session)
        async with asyncio.timeout(30):
            while "sweeping failed" not in caplog.text:
                await asyncio.sleep(0.02)
        assert await auth.sessions_of(member.id) == {member.tokens.session}
        await auth.database.execute("ALTER TABLE attempts_elsewhere RENAME TO attempts")
        async with asyncio.timeout(30):
            while await auth.sessions_of(member.id):
                await asyncio.sleep(0.02)
        assert says(await auth.me(member.tokens.account)) == (401, "session_ended")
