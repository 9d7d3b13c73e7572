"""Which container holds which secrets."""

import json

from tests.api_client import Pair
from tests.compose.project import CONSOLE, DATABASES, SERVICES, Project

HOLDERS = {
    "auth": {"key", "account key", "password of auth-db"},
    "auth-db": {"password of auth-db", "password of the owner of auth-db"},
    "posts": {"key", "password of posts-db"},
    "posts-db": {"password of posts-db"},
    CONSOLE: set[str](),
}


def test_each_container_has_only_its_own_secrets(project: Project) -> None:
    """The files of a container contain the secrets that it works with, and no others."""
    names = {text: name for name, text in project.secrets().items()}
    found = {
        service: project.execute(
            service,
            *("grep", "-rhoF", "-f", "-", "--devices=skip", "--exclude-dir=proc", "--exclude-dir=sys", "/"),
            given="\n".join(names),
            check=False,  # some files of an image are readable by root only
        )
        for service in HOLDERS
    }
    assert {service: {names[text] for text in texts.split()} for service, texts in found.items()} == HOLDERS


def test_secrets_are_mounted_read_only(project: Project) -> None:
    """A volume with a secret is mounted only where it is needed, and only the one-shot container can write to it."""
    mounts = {
        service: {
            mount["Name"].removeprefix(f"{project.name}_"): mount["RW"]
            for mount in project.container(service)["Mounts"]
        }
        for service in (*HOLDERS, "auth-migrate", "secrets")
    }
    assert mounts == {
        "auth": {"keyring": False, "account-keyring": False, "auth-db-password": False},
        "auth-migrate": {"auth-db-owner-password": False},
        "auth-db": {"auth-data": True, "auth-db-owner-password": False, "auth-db-password": False},
        "posts": {"keyring": False, "posts-db-password": False},
        "posts-db": {"posts-data": True, "posts-db-password": False},
        CONSOLE: {},
        "secrets": {
            "keyring": True,
            "account-keyring": True,
            "auth-db-owner-password": True,
            "auth-db-password": True,
            "posts-db-password": True,
        },
    }


def test_secrets_are_made_without_a_network(project: Project) -> None:
    """The container that makes the secrets has no network, and has exited."""
    made = project.container("secrets")
    assert list(made["NetworkSettings"]["Networks"]) == ["none"]
    assert (made["State"]["Status"], made["State"]["ExitCode"]) == ("exited", 0)


def test_secrets_are_strong_and_different(project: Project) -> None:
    """The key file is its owner's alone; each secret is of 32 random bytes or more, and no two are the same."""
    for service, folder in (("posts", "keyring"), ("auth", "account-keyring")):
        assert project.execute(service, "stat", "-c", "%a %u", f"/run/{folder}/keyring.json") == "600 10001\n"
    secrets = project.secrets()
    assert len(set(secrets.values())) == len(set[str]().union(*HOLDERS.values())) == len(secrets)
    assert min(map(len, secrets.values())) >= 43  # what 32 bytes are as base64url


def test_no_secret_is_shown(project: Project) -> None:
    """No secret appears in what the engine shows of containers and images, in the compose file, or in a log."""
    containers = {service: project.container(service) for service in (*HOLDERS, "secrets")}
    images = {container["Image"] for container in containers.values()}
    shown = {
        "containers": json.dumps(containers),
        "images": json.dumps([project.inspect(image) for image in sorted(images)]),
        "history": "".join(project.docker("history", "--no-trunc", image) for image in sorted(images)),
        "compose file": project.compose("config"),
        "logs": project.compose("logs"),
    }
    leaked = {
        (place, name) for name, text in project.secrets().items() for place, told in shown.items() if text in told
    }
    assert not leaked
    assert all(shown.values())


def test_passwords_and_keys_come_from_files(project: Project) -> None:
    """No environment contains a password or a keyring, only the names of files."""
    for service in (*SERVICES, *DATABASES, CONSOLE):
        variables = dict(pair.split("=", 1) for pair in project.container(service)["Config"]["Env"])
        assert [name for name in variables if "PASSWORD" in name and not name.endswith("_FILE")] == []
        assert "JWT_KEYRING" not in variables


async def test_posts_can_sign_nothing_that_auth_accepts(project: Project, pair: Pair) -> None:
    """With the key and the code of the posts container, a token for any user and session is refused by auth."""
    ada = await pair.sign_up()
    forged = project.run_inside("posts", "forge.py", ada.account_token)
    assert (await pair.call("GET", f"{pair.auth}/me", token=ada.account_token)).status == 200
    assert (await pair.call("GET", f"{pair.posts}/posts", token=forged["for posts"])).status == 200, "it can sign"
    refused = {name: await pair.call("GET", f"{pair.auth}/me", token=token) for name, token in forged.items()}
    assert {name: (reply.status, reply.code) for name, reply in refused.items()} == {
        "for posts": (401, "token_key_unknown"),
        "for auth": (401, "token_key_unknown"),
        "for auth, with the account key's id": (401, "token_signature_invalid"),
    }
