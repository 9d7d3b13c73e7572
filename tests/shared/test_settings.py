"""Settings that are refused, and what is said of them."""

from pathlib import Path

import pytest

from auth_service.settings import Settings as AuthSettings
from posts_service.settings import Settings as PostsSettings
from shared.errors import StartupError

GOOD = {"DATABASE_URL": "postgresql://u@localhost/d", "JWT_KEYRING_FILE": "keyring.json"}


def test_little_must_be_set() -> None:
    """The database alone has no default; the ports are those of the documents."""
    assert AuthSettings.from_environ(GOOD).port == 8001
    assert PostsSettings.from_environ(GOOD).port == 8002


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PORT", "http"),
        ("PORT", "0"),
        ("PORT", "65536"),
        ("PORT", ""),
        ("HOST", ""),
        ("DATABASE_URL", "mysql://u:pa55word@localhost/d"),
        ("DATABASE_CONNECTIONS", "0"),
        ("MAX_CONNECTIONS", "0"),
        ("AUDIT_RETENTION_DAYS", "29"),
        ("MIGRATE", "perhaps"),
        ("JWT_LEEWAY", "61"),
        ("JWT_LEEWAY", "nan"),
        ("JWT_ISSUER", ""),
        ("JWT_AUDIENCE", "two words"),
        ("JWT_AUDIENCES", "auth, posts"),
        ("JWT_AUDIENCES", ""),
        ("ACCESS_TOKEN_SECONDS", "86401"),
        ("BCRYPT_COST", "3"),
        ("PASSWORD_MIN_LENGTH", "7"),
        ("LOG_FORMAT", "xml"),
    ],
)
def test_a_wrong_variable_is_named_and_its_value_is_not_shown(variable: str, value: str) -> None:
    """A value that is not allowed ends the start with one line that names the variable and tells no secret."""
    with pytest.raises(StartupError) as error:
        AuthSettings.from_environ({**GOOD, variable: value})
    assert str(error.value).startswith(f"{variable}: ")
    assert "\n" not in str(error.value)
    assert "pa55word" not in str(error.value)


def test_what_is_missing_is_named() -> None:
    """A variable without a default that is not set is named."""
    with pytest.raises(StartupError, match="DATABASE_URL is not set"):
        AuthSettings.from_environ({})


def test_the_password_file_goes_into_the_url(tmp_path: Path) -> None:
    """A password from a file is encoded into the URL, whatever characters it has."""
    file = tmp_path / "password"
    file.write_text("p@ss/w:rd%\n")
    settings = PostsSettings.from_environ({**GOOD, "DATABASE_PASSWORD_FILE": str(file)})
    assert settings.database_dsn() == "postgresql://u:p%40ss%2Fw%3Ard%25@localhost/d"


def test_two_passwords_are_refused(tmp_path: Path) -> None:
    """A password in the URL and another in a file is one too many."""
    file = tmp_path / "password"
    file.write_text("b")
    settings = PostsSettings.from_environ(
        {"DATABASE_URL": "postgresql://u:a@localhost/d", "DATABASE_PASSWORD_FILE": str(file)}
    )
    with pytest.raises(StartupError, match="one of the two"):
        settings.database_dsn()


def test_secrets_do_not_show() -> None:
    """Printed settings show neither the database's password nor the keyring."""
    settings = PostsSettings.from_environ(
        {"DATABASE_URL": "postgresql://u:pa55word@localhost/d", "JWT_KEYRING": "k3yring"}
    )
    assert "pa55word" not in repr(settings)
    assert "k3yring" not in repr(settings)
