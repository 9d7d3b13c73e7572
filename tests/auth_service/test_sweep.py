"""What is over goes away in the background, and nothing else does."""

from auth_service.store.sweep import SweepStore
from shared.database import Database
from tests.auth_service.alone import Auth
from tests.pair import new_email


async def test_only_what_is_over_is_swept(own_auth: Auth, database_url: str) -> None:
    """Expired sessions go, and no client sees a difference; living ones stay; a nonce goes once its grace is over."""
    email = new_email()
    await own_auth.register(email)
    tokens = [(await own_auth.login(email)).body for _ in range(3)]
    over, rotated, lives = tokens
    await own_auth.ask("POST", "/refresh", {"refresh_token": rotated["refresh_token"]})
    order = "(SELECT id FROM sessions ORDER BY created_at OFFSET $1 LIMIT 1)"
    database = own_auth.database
    await database.execute(f"UPDATE sessions SET expires_at = now() WHERE id = {order}", 0)
    await database.execute("UPDATE sessions SET rotated_at = now() - interval '11 seconds' WHERE nonce IS NOT NULL")
    before = await own_auth.ask("POST", "/refresh", {"refresh_token": over["refresh_token"]})
    own = Database(database_url, connections=1, migrations=(), migrate=False)
    await own.open()
    assert not await SweepStore(own).sweep()
    await own.close()
    assert await database.fetchval("SELECT count(*) FROM sessions") == 2
    assert await database.fetchval("SELECT count(*) FROM sessions WHERE nonce IS NOT NULL") == 0
    after = await own_auth.ask("POST", "/refresh", {"refresh_token": over["refresh_token"]})
    assert (before.status, before.body | {"request_id": ""}) == (after.status, after.body | {"request_id": ""})
    assert (await own_auth.ask("POST", "/refresh", {"refresh_token": lives["refresh_token"]})).status == 200
