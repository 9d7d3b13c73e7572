"""Required settings, invalid ones, and secrets that must not show."""

from pathlib import Path

import pytest

from auth_service.settings import Settings as AuthSettings
from posts_service.settings import Settings as PostsSettings
from shared.errors import StartupError

GOOD = {"DATABASE_URL": "postgresql://u@localhost/d", "JWT_KEYRING_FILE": "keyring.json"}


def test_little_must_be_set() -> None:
    """Only the database and the keyring must be set; the ports are the documented ones."""
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
        ("DATABASE_STATEMENT_CACHE", "-1"),
        ("DATABASE_URL", "postgresql://u:pa55word@one,two/d"),
        ("DATABASE_URL", "postgresql://u:pa55word@one,two/d?target_session_attrs=any"),
        ("DATABASE_URL", "postgresql://u:pa55word@/d?host=one,two&target_session_attrs=primary"),
        # a fullwidth slash, which is a slash to urllib, and an unencoded bracket
        ("DATABASE_URL", "postgresql://u:pa55word\uff0f@localhost/d"),
        ("DATABASE_URL", "postgresql://u:pa55word[@localhost/d"),
        ("MAX_CONNECTIONS", "0"),
        ("LAME_DUCK_SECONDS", "-1"),
        ("LAME_DUCK_SECONDS", "nan"),
        ("AUDIT_RETENTION_DAYS", "29"),
        ("MIGRATE", "perhaps"),
        ("JWT_LEEWAY", "61"),
        ("JWT_LEEWAY", "nan"),
        ("JWT_ISSUER", ""),
        ("JWT_AUDIENCE", "two words"),
        ("JWT_AUDIENCES", "auth, posts"),
        ("JWT_AUDIENCES", ""),
        ("ACCESS_TOKEN_SECONDS", "86401"),
        ("REFRESH_GRACE_SECONDS", "0"),
        ("REFRESH_GRACE_SECONDS", "601"),
        ("BCRYPT_COST", "3"),
        ("PASSWORD_MIN_LENGTH", "7"),
        ("PASSWORD_MIN_LENGTH", "14"),
        ("ALLOW_SHORT_PASSWORDS", "perhaps"),
        ("LOG_FORMAT", "xml"),
    ],
)
def test_an_invalid_variable_is_named_and_its_value_is_not_shown(variable: str, value: str) -> None:
    """An invalid value is reported in one line that names the variable and shows no secret."""
    with pytest.raises(StartupError) as error:
        AuthSettings.from_environ({**GOOD, variable: value})
    assert str(error.value).startswith(f"{variable}: ")
    assert "\n" not in str(error.value)
    assert "pa55word" not in str(error.value)


@pytest.mark.parametrize(
    ("variable", "value"),
    [("WRITES_BURST", "0"), ("WRITES_BURST", "1.5"), ("WRITES_PER_SECOND", "0"), ("WRITES_PER_SECOND", "nan")],
)
def test_a_limit_of_writes_that_lets_nobody_write_is_refused(variable: str, value: str) -> None:
    """A bucket that never holds a write, or never regains one, ends the start."""
    with pytest.raises(StartupError) as error:
        PostsSettings.from_environ({**GOOD, variable: value})
    assert str(error.value).startswith(f"{variable}: ")


def test_a_missing_variable_is_named() -> None:
    """The error names a required variable that is not set."""
    with pytest.raises(StartupError, match="DATABASE_URL is not set"):
        AuthSettings.from_environ({})


def test_the_password_file_goes_into_the_url(tmp_path: Path) -> None:
    """A password from a file is percent-encoded into the URL."""
    file = tmp_path / "password"
    file.write_text("p@ss/w:rd%\n")
    settings = PostsSettings.from_environ({**GOOD, "DATABASE_PASSWORD_FILE": str(file)})
    assert settings.database_dsn() == "postgresql://u:p%40ss%2Fw%3Ard%25@localhost/d"


def test_the_password_file_goes_with_several_hosts(tmp_path: Path) -> None:
    """A password from a file belongs to all hosts of the URL."""
    file = tmp_path / "password"
    file.write_text("p@ss,")
    url = "postgresql://u@one:5432,two/d?target_session_attrs=primary"
    settings = PostsSettings.from_environ({**GOOD, "DATABASE_URL": url, "DATABASE_PASSWORD_FILE": str(file)})
    assert settings.database_dsn() == "postgresql://u:p%40ss%2C@one:5432,two/d?target_session_attrs=primary"


@pytest.mark.parametrize("url", ["postgresql://u:pa55word\uff0f@localhost/d", "postgresql://u:pa55word[@localhost/d"])
def test_a_url_that_can_not_be_parsed_gets_the_fix(url: str) -> None:
    """What to do about a password with special characters is said, without the password."""
    with pytest.raises(StartupError, match="special characters of the password percent-encoded"):
        PostsSettings.from_environ({**GOOD, "DATABASE_URL": url})


def test_a_password_file_that_is_not_text_is_named(tmp_path: Path) -> None:
    """Bytes that aren't UTF-8 end the start in one line."""
    file = tmp_path / "password"
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(StartupError, match=f"DATABASE_PASSWORD_FILE {file}: it is not UTF-8"):
        PostsSettings.from_environ({**GOOD, "DATABASE_PASSWORD_FILE": str(file)}).database_dsn()


def test_two_passwords_are_refused(tmp_path: Path) -> None:
    """The password may be in the URL or in a file, not both."""
    file = tmp_path / "password"
    file.write_text("b")
    settings = PostsSettings.from_environ(
        {"DATABASE_URL": "postgresql://u:a@localhost/d", "DATABASE_PASSWORD_FILE": str(file)}
    )
    with pytest.raises(StartupError, match="not in both"):
        settings.database_dsn()


def test_secrets_do_not_show() -> None:
    """The repr of the settings shows neither the database password nor the keyring."""
    settings = PostsSettings.from_environ(
        {"DATABASE_URL": "postgresql://u:pa55word@localhost/d", "JWT_KEYRING": "k3yring"}
    )
    assert "pa55word" not in repr(settings)
    assert "k3yring" not in repr(settings)


def test_short_passwords_are_permitted_in_so_many_words() -> None:
    """Below 15 characters the start names the setting that permits it; with that setting, 8 is the least."""
    with pytest.raises(StartupError, match="ALLOW_SHORT_PASSWORDS=true"):
        AuthSettings.from_environ({**GOOD, "PASSWORD_MIN_LENGTH": "14"})
    with pytest.raises(StartupError, match="ALLOW_SHORT_PASSWORDS=true"):
        AuthSettings.from_environ({**GOOD, "PASSWORD_MIN_LENGTH": "8", "ALLOW_SHORT_PASSWORDS": "false"})
    allowed = {**GOOD, "ALLOW_SHORT_PASSWORDS": "true"}
    assert AuthSettings.from_environ({**allowed, "PASSWORD_MIN_LENGTH": "8"}).password_min_length == 8
    assert AuthSettings.from_environ(allowed).password_min_length == 15
    with pytest.raises(StartupError, match=r"^PASSWORD_MIN_LENGTH: "):
        AuthSettings.from_environ({**allowed, "PASSWORD_MIN_LENGTH": "7"})
