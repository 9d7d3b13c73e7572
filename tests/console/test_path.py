"""What a newcomer does, with both services as processes and auth stopped on the way."""

import re
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from dev import service_process as processes
from tests.console import stage
from tests.console.screen import screen
from tests.postgres import Server

pytestmark = pytest.mark.slow

SILENT = re.compile("No response from auth.*make start-auth.*The posts service still accepts your token")


async def test_from_sign_up_to_a_refused_forgery_with_auth_stopped(
    browser: Browser, database_server: Server, keyring_file: Path
) -> None:
    """Two clicks lead to a refused forgery; while auth is stopped, posts keeps working and keeps refusing forgeries."""
    port = processes.free_port()
    allowed = {"CORS_ORIGINS": stage.origin(port)}
    databases = await database_server.create_database(), await database_server.create_database()
    running: dict[str, processes.Service] = {}

    def start(name: str, port: int, database: str) -> None:
        more = {**allowed, **({"BCRYPT_COST": "4"} if name == "auth" else {})}
        running[name] = processes.start(name, port=port, database_url=database, keyring=keyring_file, more=more)

    try:
        for name, database in zip(("auth", "posts"), databases, strict=True):
            start(name, processes.free_port(), database)
        processes.wait_until_ready(list(running.values()))
        auth, posts = running["auth"], running["posts"]
        async with stage.console(auth.url, posts.url, port) as made, screen(browser) as shown:
            await shown.open(made.console)
            await expect(shown["#auth-state"]).to_have_text("ready")
            await expect(shown["#posts-state"]).to_have_text("ready")
            await expect(shown["#kids code"]).to_have_count(1)
            await expect(shown["#kids-text"]).to_contain_text("the only thing that both services share")

            await shown.register()
            for part in ("header", "payload", "signature"):
                await expect(shown[f"#token-text .{part}"]).not_to_be_empty()
            await shown.write("Hello", "My first post")
            await expect(shown["#posts-database"]).to_have_text("queried")
            await expect(shown["#posts-call"]).to_have_text("POST /posts → 201")
            await shown.send()
            await shown.expect_refused(8, "token_signature_invalid")

            processes.stop([auth])
            await expect(shown["#auth-box"]).to_have_attribute("data-state", "silent")
            await expect(shown["#unavailable"]).to_have_text(
                "The auth service is unavailable. The posts service still works, because it verifies tokens on its own."
            )
            await expect(shown["#auth-notice"]).to_contain_text("The auth service is unavailable")
            await expect(shown["#posts-state"]).to_have_text("ready")
            await shown.write("Still here", "Nobody was asked")
            await shown.forge("none")
            await shown.expect_refused(7, "token_algorithm_refused")
            await shown["#refresh"].click()
            await expect(shown["#refresh-answer"]).to_contain_text(SILENT)
            await expect(shown["#auth-call"]).to_have_text("POST /refresh → no response")

            start("auth", auth.port, databases[0])
            await expect(shown["#auth-state"]).to_have_text("ready")
            await expect(shown["#auth-notice"]).to_be_empty()
            await expect(shown["#refresh-answer"]).to_be_empty()
            before = await shown["#token-text"].text_content()
            await shown["#refresh"].click()
            await expect(shown["#refresh-answer"]).to_contain_text("You have two new tokens")
            assert await shown["#token-text"].text_content() != before
            await shown.forge("untouched")
            assert await shown.states() == ["passed"] * 13
    finally:
        processes.stop(list(running.values()))
        for database in databases:
            await database_server.drop_database(database)
