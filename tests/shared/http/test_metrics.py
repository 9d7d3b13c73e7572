"""The metrics of a service."""

from pathlib import Path

import pytest
from aiohttp import ClientSession

from dev.service_process import free_port, new_keyrings
from tests.api_client import Pair, posts_app, served


async def test_answers_are_counted_on_a_port_of_their_own(database_url: str, keyring_file: Path) -> None:
    """Responses are counted by route and status, on a separate port only, and clients can't add labels."""
    port = free_port()
    async with served(posts_app(database_url, keyring_file, metrics_port=port)) as posts, ClientSession() as http:
        pair = Pair("", posts, http)
        await pair.call("GET", f"{posts}/health/ready")
        for path in ("/posts/1", "/posts/2", "/made-up-1", "/made-up-2", "/metrics"):
            await pair.call("GET", posts + path)
        await pair.call("PROPFIND", f"{posts}/made-up-3")
        async with http.get(f"http://127.0.0.1:{port}/metrics") as response:
            lines = (await response.text()).splitlines()
            assert "Server" not in response.headers
    assert 'http_requests_total{method="GET",route="/health/ready",status="200"} 1.0' in lines
    assert 'http_requests_total{method="GET",route="/posts/{id}",status="401"} 2.0' in lines
    assert 'http_requests_total{method="any",route="none",status="404"} 4.0' in lines
    assert "keyring_stale 0.0" in lines
    assert "keyring_replaced 0.0" in lines
    assert not any("made-up" in line or "PROPFIND" in line for line in lines)


@pytest.mark.slow
async def test_a_stale_keyring_shows(database_url: str, tmp_path: Path, keyring_file: Path) -> None:
    """While the key file can't be read, the metric and readiness say so, and readiness stays 200."""
    file, port = tmp_path / "keyring.json", free_port()
    file.write_bytes(keyring_file.read_bytes())
    app = posts_app(database_url, file, metrics_port=port)
    async with served(app) as posts, ClientSession() as http:
        file.write_text("broken")
        pair = Pair("", posts, http)
        while (await pair.call("GET", f"{posts}/health/ready")).body["keyring"] != "stale":
            pass
        async with http.get(f"http://127.0.0.1:{port}/metrics") as response:
            assert "keyring_stale 1.0" in await response.text()
        assert (await pair.call("GET", f"{posts}/health/ready")).status == 200


@pytest.mark.slow
async def test_a_replaced_keyring_shows(database_url: str, tmp_path: Path, keyring_file: Path) -> None:
    """When none of the previous keys is left in the key file, the metric and readiness say so; readiness stays 200."""
    file, port = tmp_path / "keyring.json", free_port()
    file.write_bytes(keyring_file.read_bytes())
    async with served(posts_app(database_url, file, metrics_port=port)) as posts, ClientSession() as http:
        pair = Pair("", posts, http)
        file.unlink()
        new_keyrings(file)
        while (ready := await pair.call("GET", f"{posts}/health/ready")).body["keyring"] != "replaced":
            assert ready.status == 200
        async with http.get(f"http://127.0.0.1:{port}/metrics") as response:
            assert "keyring_replaced 1.0" in await response.text()
