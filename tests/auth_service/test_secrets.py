"""No password, token or key ends up where it doesn't belong."""

import base64
import itertools
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
from aiohttp import ClientSession

from dev import service_process as processes
from shared.base64url import decode
from tests.api_client import Pair, Reply, new_email
from tests.auth_service.alone import says
from tests.auth_service.commands import Operator
from tests.postgres import Server
from tests.raw_http import exchange

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Tokens:
    """The tokens from a log-in or a refresh."""

    access: str
    account: str
    refresh: str


@dataclass
class Witness(Pair):
    """A client and operator that remembers every secret it used and every text it got back."""

    database: asyncpg.Connection = field(repr=False)
    operator: Operator = field(repr=False)
    database_url: str = field(repr=False)
    keyring: Path = field(repr=False)
    secrets: dict[str, str] = field(default_factory=dict)
    heard: list[str] = field(default_factory=list)

    def keep(self, name: str, secret: str) -> str:
        """Remember a secret under a name that may be shown, and return the secret."""
        self.secrets[f"{name}, {len(self.secrets)}"] = secret
        return secret

    def password(self) -> str:
        """A new password."""
        return self.keep("password", f"passphrase-{secrets.token_hex(12)}")

    def short_password(self) -> str:
        """A new password that is too short to be accepted."""
        return self.keep("short password", secrets.token_hex(7))

    def keep_keys(self) -> None:
        """Remember the keys of the key file, in each encoding that might be written."""
        for file in (self.keyring, processes.account_keyring(self.keyring)):
            for entry in json.loads(file.read_text())["keys"]:
                key = decode(entry["k"])
                self.keep("key", entry["k"])
                self.keep("key in base64", base64.b64encode(key).decode().rstrip("="))
                self.keep("key in hexadecimal", key.hex())

    async def keep_hashes(self) -> None:
        """Remember the stored password hashes."""
        for row in await self.database.fetch("SELECT password_hash FROM users"):
            self.keep("password hash", row[0])
            self.keep("end of a password hash", row[0][-31:])

    def tokens(self, reply: Reply) -> Tokens:
        """Return the tokens of a reply, and remember them and their parts."""
        assert reply.status == 200, reply
        tokens = Tokens(reply.body["access_token"], reply.body["account_token"], reply.body["refresh_token"])
        for name, token in (("access token", tokens.access), ("account token", tokens.account)):
            self.keep(name, token)
            self.keep("signature", token.rpartition(".")[2])
        self.keep("refresh token", tokens.refresh)
        data = decode(tokens.refresh)
        for name, part in (("family", data[:16]), ("refresh secret", data[16:])):
            self.keep(f"{name} in hexadecimal", part.hex())
            self.keep(f"{name} in base64", base64.b64encode(part).decode().rstrip("="))
        return tokens

    async def call(self, method: str, url: str, json: object = None, token: str | None = None, **options: Any) -> Reply:
        """Send one request to either service, and remember the answer unless it is supposed to contain tokens."""
        whole = self.auth + url if url.startswith("/") else url
        reply = await super().call(method, whole, json, token, **options)
        gave_tokens = reply.status == 200 and urlsplit(whole).path in ("/login", "/refresh")
        self.heard.append(f"{dict(reply.headers)} {'' if gave_tokens else reply.body}")
        return reply

    async def expect(
        self, status: int, method: str, url: str, body: object = None, token: str | None = None, **options: Any
    ) -> Reply:
        """Send one request and check its status."""
        reply = await self.call(method, url, body, token, **options)
        assert reply.status == status, (method, url, reply)
        return reply

    async def throw(self, base: str, data: str) -> None:
        """Send malformed HTTP and expect a 400."""
        status, headers, body = await exchange(base, data.encode())
        assert b" 400 " in status, (data, status, body)
        self.heard.append(f"{status!r} {headers} {body!r}")

    async def refresh(self, token: str, key: str = "") -> Reply:
        """POST /refresh, with an idempotency key unless it is empty."""
        headers = {"Idempotency-Key": key} if key else {}
        return await self.call("POST", "/refresh", {"refresh_token": token}, headers=headers)

    async def let_grace_end(self) -> None:
        """Move every rotation two minutes back, past the grace period."""
        await self.database.execute("UPDATE sessions SET rotated_at = now() - interval '2 minutes'")

    async def command(self, status: int, *words: str, given: str = "", url: str | None = None, **more: str) -> None:
        """Run a command, check its exit status, and remember its output."""
        settings = {"JWT_KEYRING_FILE": str(self.keyring), **more}
        said = await self.operator(url or self.database_url, *words, given=given, **settings)
        assert said.status == status, (words, said)
        assert status == 0 or "Traceback" not in said.errors
        self.heard.append(said.output + said.errors)


async def test_no_secret_is_written_anywhere(
    database_server: Server, tmp_path: Path, capfd: pytest.CaptureFixture[str], operator: Operator
) -> None:
    """After every kind of request and command, failed ones included, no secret is found where it doesn't belong.

    Searched: the logs of both services, the output of all commands, every answer, the metrics, and both databases.
    """
    keyring = tmp_path / "keyring.json"
    processes.new_keyrings(keyring)
    async with _databases(database_server) as urls, ClientSession() as http:
        with ExitStack() as stack:
            services, metrics = _start(stack, urls, keyring)
            database = await asyncpg.connect(urls[0])
            witness = Witness(services[0].url, services[1].url, http, database, operator, urls[0], keyring)
            try:
                for url in urls:
                    witness.keep("database password", urlsplit(url).password or "")
                await _everything(witness)
                counted = [await (await http.get(f"http://127.0.0.1:{port}/metrics")).text() for port in metrics]
            finally:
                await database.close()
            contents = [await _contents(url) for url in urls]
    logs = "".join(capfd.readouterr())

    lines = [json.loads(line) for line in logs.splitlines()]
    assert {line["service"] for line in lines} == {"auth", "posts"}
    assert len(lines) > 100
    assert any("UndefinedTableError" in line.get("exception", "") for line in lines), "an internal error was logged"
    assert all("http_requests_total" in text for text in counted)
    assert len({name.partition(",")[0] for name in witness.secrets}) == 17
    places = {"logs": logs, "answers": "\n".join(witness.heard), "metrics": "".join(counted), "rows": "".join(contents)}
    found = {
        (name, place)
        for (name, secret), (place, text) in itertools.product(witness.secrets.items(), places.items())
        if secret in text
    }
    assert found == set()


@asynccontextmanager
async def _databases(server: Server) -> AsyncIterator[list[str]]:
    """Create a database for each service; its URL has a password even if the server asks for none."""
    plain = [await server.create_database() for _ in range(2)]
    urls = []
    for url in plain:
        parts = urlsplit(url)
        user, _, host = parts.netloc.rpartition("@")
        netloc = parts.netloc if parts.password else f"{user}:{secrets.token_hex(12)}@{host}"
        urls.append(parts._replace(netloc=netloc).geturl())
    yield urls
    for url in plain:
        await server.drop_database(url)


def _start(stack: ExitStack, urls: list[str], keyring: Path) -> tuple[list[processes.Service], list[int]]:
    """Start both services; return them and the ports of their metrics."""
    services, metrics = [], []
    for name, url in zip(("auth", "posts"), urls, strict=True):
        metrics.append(processes.free_port())
        more = {"LOG_FORMAT": "json", "METRICS_PORT": str(metrics[-1]), "BCRYPT_COST": "4", "TRUSTED_PROXIES": "1"}
        services.append(processes.start(name, port=processes.free_port(), database_url=url, keyring=keyring, more=more))
        stack.callback(processes.stop, services[-1:])
    processes.wait_until_ready(services)
    return services, metrics


async def _contents(url: str) -> str:
    """Every row of every table as text, except for the column that password hashes belong in."""
    connection = await asyncpg.connect(url)
    tables = [row[0] for row in await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
    rows = [
        row[0]
        for table in tables
        for row in await connection.fetch(f"SELECT (to_jsonb(t) - 'password_hash')::text FROM {table} t")
    ]
    await connection.close()
    assert len(rows) >= len(tables)
    return "\n".join(rows)


async def _everything(witness: Witness) -> None:
    """Use every feature, correctly and incorrectly."""
    witness.keep_keys()
    boss, boss_password = new_email(), witness.password()
    await _commands(witness, boss, boss_password)
    admin = witness.tokens(await witness.login(boss, boss_password))

    email, password = new_email(), witness.password()
    account = await witness.register(email, password)
    assert account.status == 201
    await witness.keep_hashes()
    await _wrong_bodies(witness, email, password)
    for damaged in (True, False):
        await _wrong_tokens(witness, witness.tokens(await witness.login(email, password)), damaged=damaged)
    await _refreshes(witness, witness.tokens(await witness.login(email, password)))
    password = await _passwords(witness, email, password)
    await _administration(witness, account.body["id"], admin.account)
    await _keys_and_settings(witness, admin.account)
    await _faults_of_ours(witness, email, password)

    tokens = witness.tokens(await witness.login(email, password))
    await witness.expect(204, "POST", "/logout", {"refresh_token": tokens.refresh})
    tokens = witness.tokens(await witness.login(email, password))
    await witness.expect(403, "DELETE", "/me", {"password": witness.password()}, tokens.account)
    await witness.expect(204, "DELETE", "/me", {"password": password}, tokens.account)
    await witness.expect(204, "POST", "/logout", token=admin.account)
    await witness.command(0, "audit", "--limit", "1000")
    await witness.command(0, "users", "list")
    await witness.keep_hashes()


async def _commands(witness: Witness, email: str, password: str) -> None:
    """Create an admin, and run commands that are refused."""
    create = ("users", "create", email, "--name", "Grace", "--role", "admin")
    await witness.command(0, *create, given=password)
    await witness.command(1, *create, given=witness.password())
    await witness.command(1, "users", "create", new_email(), "--name", "Grace", given=witness.short_password())
    await witness.command(1, "users", "create", "nobody", "--name", "Grace", given=witness.password() + "\0")
    await witness.command(2, *create, "--password", "given", given=witness.password())


async def _wrong_bodies(witness: Witness, email: str, password: str) -> None:
    """Send passwords in every way that is refused."""
    body = {"email": new_email(), "password": witness.password(), "name": "Ada"}
    for status, wrong in (
        (409, {**body, "email": email}),
        (422, {**body, "email": witness.password()}),
        (422, {**body, "email": f"{witness.password()}@example"}),
        (422, {**body, "password": witness.short_password()}),
        (422, {**body, "password": witness.password() + "\0"}),
        (422, {**body, "password": witness.password() + "\ud800"}),
        (422, {**body, "password": witness.password() * 10}),
        (422, {**body, "password": [witness.password()]}),
        (422, {**body, "password": {witness.password(): witness.password()}}),
        (422, {**body, "name": witness.password() * 10}),
        (422, {**body, "new_password": witness.password()}),
    ):
        await witness.expect(status, "POST", "/register", wrong)
    for address in (email, new_email(), witness.password()):
        await witness.expect(401, "POST", "/login", {"email": address, "password": witness.password()})
    text = json.dumps({"email": email, "password": password})
    for status, data, kind in (
        (400, text[:-1], "application/json"),
        (400, text.replace("passphrase", "\\x"), "application/json"),
        (400, f'{text[:-1]}, "password": "{password}"}}', "application/json"),
        (400, f'"{password}"', "application/json"),
        (415, f"email={email}&password={password}", "application/x-www-form-urlencoded"),
        (413, json.dumps({"email": email, "password": password * 1000}), "application/json"),
    ):
        await witness.expect(status, "POST", "/login", data=data.encode(), headers={"Content-Type": kind})
    for in_query in (password, witness.short_password()):  # a short one too: the log leaves out anything long
        await witness.expect(422, "POST", f"/login?password={in_query}", {"email": email})
    await witness.expect(405, "PUT", "/login", {"email": email, "password": password})
    network = {"X-Forwarded-For": "192.0.2.1"}
    answers = [
        await witness.call("POST", "/login", {"email": email, "password": witness.password()}, headers=network)
        for _ in range(7)
    ]
    assert answers[-1].status == 429


async def _wrong_tokens(witness: Witness, tokens: Tokens, *, damaged: bool) -> None:
    """Send good tokens to the wrong places, or damaged ones to the right places, at both services."""
    refresh = tokens.refresh
    for base, path, access in (
        (witness.auth, "/me", tokens.account),
        (witness.auth, "/me", tokens.access),
        (witness.posts, "/posts", tokens.access),
        (witness.posts, "/posts", tokens.account),
    ):
        head, payload, signature = access.split(".")
        headers = (
            *(f"Bearer {access}x", f"Bearer {access}.{signature}", f"Bearer {head}.{payload[:-4]}.{signature}"),
            *(f"Bearer {head}..{signature}", f"Bearer .{payload}.{signature}", f"Bearer {signature}.{payload}.{head}"),
            *(f"Bearer {access} {access}", f"Bearer {refresh}", f"Basic {access}", f"Token {access}", access),
        )
        if damaged:
            for header in headers:
                await witness.expect(401, "GET", base + path, headers={"Authorization": header})
            continue
        await witness.expect(401, "GET", f"{base}{path}?access_token={access}")
        await witness.expect(404, "GET", f"{base}/{access}", token=access)
        await witness.expect(404, "GET", f"{base}/elsewhere/{refresh}/x", token=access)
        await witness.expect(401, "GET", base + path, cookies={"access_token": access})
        start, bearer = f"GET {path} HTTP/1.1\r\nHost: x\r\n", f"Authorization: Bearer {access}"
        for data in (
            f"{start}{bearer}\0\r\n\r\n",
            f"{start}{bearer}\r\n{bearer}\r\nConnection: close\r\n\r\n",
            f"{start}{bearer}{'x' * 9000}\r\n\r\n",
            f"{start}{bearer.replace(':', ' :')}\r\n\r\n",
            f"GET {path}?{access}\x01 HTTP/1.1\r\nHost: x\r\n\r\n",
            f"{access}\r\n\r\n",
        ):
            await witness.throw(base, data)
    await witness.expect(404, "DELETE", f"/sessions/{refresh}", token=tokens.account)
    written = await witness.post(tokens.access)
    await witness.expect(200, "GET", witness.posts + written.headers["Location"], token=tokens.access)
    await witness.expect(422, "POST", f"{witness.posts}/posts", {"title": 7}, tokens.access)


async def _refreshes(witness: Witness, tokens: Tokens) -> None:
    """Use a refresh token correctly, damaged, and once too often."""
    good = tokens.refresh
    for wrong in (good[:-1], good + "=", good + "\n", good[::-1], tokens.access[:255]):
        await witness.expect(401, "POST", "/refresh", {"refresh_token": wrong})
        await witness.expect(204, "POST", "/logout", {"refresh_token": wrong})
    await witness.expect(422, "POST", "/refresh", {"refresh_token": [good]})
    await witness.expect(422, "POST", "/refresh", {"refresh_token": good * 5})
    await witness.expect(422, "POST", "/refresh", {"token": good})
    await witness.expect(415, "POST", f"/refresh?refresh_token={good}")
    witness.heard.append(await _contents(witness.database_url))
    key = witness.keep("idempotency key", secrets.token_hex(16))
    newer = witness.tokens(await witness.refresh(good, key))
    assert witness.tokens(await witness.refresh(good)).refresh == newer.refresh
    witness.heard.append(await _contents(witness.database_url))
    await witness.let_grace_end()
    assert witness.tokens(await witness.refresh(good, key)).refresh == newer.refresh
    witness.tokens(await witness.refresh(newer.refresh))
    assert says(await witness.refresh(good)) == (401, "refresh_token_reused")
    assert says(await witness.refresh(newer.refresh)) == (401, "refresh_token_invalid")
    assert says(await witness.call("GET", "/me", token=tokens.account)) == (401, "session_ended")


async def _passwords(witness: Witness, email: str, password: str) -> str:
    """Change a password as its user and as the operator, with refusals on the way; return the newest one."""
    account = witness.tokens(await witness.login(email, password)).account
    new = witness.password()
    for status, current, wanted in (
        (403, witness.password(), new),
        (422, password, witness.short_password()),
        (200, password, new),
    ):
        body = {"current_password": current, "new_password": wanted}
        await witness.expect(status, "POST", "/me/password", body, account)
    await witness.expect(401, "POST", "/login", {"email": email, "password": password})
    await witness.keep_hashes()
    newest = witness.password()
    await witness.command(0, "users", "password", email, given=newest)
    await witness.command(1, "users", "password", email, given=witness.short_password())
    await witness.keep_hashes()
    return newest


async def _administration(witness: Witness, user: str, token: str) -> None:
    """Read every account as an admin, and change one."""
    for path in ("/me", "/sessions", "/users", f"/users/{user}"):
        await witness.expect(200, "GET", path, token=token)
    for change in ({"role": "moderator"}, {"disabled": True}, {"disabled": False}):
        await witness.expect(200, "PATCH", f"/users/{user}", change, token)
    await witness.expect(200, "PATCH", "/me", {"name": "Admiral"}, token)
    await witness.expect(422, "PATCH", f"/users/{user}", {"password": witness.password()}, token)


async def _keys_and_settings(witness: Witness, token: str) -> None:
    """Add a key, inspect a token, and run commands whose broken settings contain a secret."""
    await witness.command(0, "keys", "add", str(witness.keyring))
    witness.keep_keys()
    await witness.command(0, "keys", "list", str(witness.keyring))
    await witness.command(0, "token", "inspect", given=token)
    broken = witness.keyring.with_name("broken.json")
    broken.write_text(witness.keyring.read_text()[:-4])
    await witness.command(1, "token", "inspect", given=token, JWT_KEYRING_FILE=str(broken))
    password = urlsplit(witness.database_url).password
    for url in ("mysql://u:{0}@localhost/d", "postgresql://u:{0}@localhost:port/d", "postgresql://u:{0}@[::1/d"):
        await witness.command(1, "users", "list", url=url.format(password))


async def _faults_of_ours(witness: Witness, email: str, password: str) -> None:
    """Take a table away, so that requests fail and are logged with a traceback."""
    tokens = witness.tokens(await witness.login(email, password))
    await witness.database.execute("ALTER TABLE audit_events RENAME TO audit_events_elsewhere")
    for path, body, token in (
        ("/login", {"email": email, "password": password}, None),
        ("/login", {"email": email, "password": witness.password()}, None),
        ("/register", {"email": new_email(), "password": witness.password(), "name": "Ada"}, None),
        ("/logout", {"refresh_token": tokens.refresh}, None),
        ("/me/password", {"current_password": password, "new_password": witness.password()}, tokens.account),
    ):
        await witness.expect(500, "POST", path, body, token)
    await witness.database.execute("ALTER TABLE audit_events_elsewhere RENAME TO audit_events")
