"""python -m deploy.make_secrets FOLDER: create both key files and the database passwords.

Existing files are kept. Nothing secret is printed.
"""

import os
import secrets
import sys
import tempfile
from pathlib import Path

from auth_service import keys

PASSWORD_BYTES = 32


def main() -> None:
    """Create the missing files in FOLDER, which has a subfolder for each volume."""
    folder = Path(sys.argv[1])
    for file, make in (
        (folder / "keyring" / "keyring.json", keys.new),
        (folder / "account-keyring" / "keyring.json", keys.new),
        (folder / "auth-db-owner" / "password", new_password),
        (folder / "auth-db" / "password", new_password),
        (folder / "posts-db" / "password", new_password),
    ):
        if file.exists():
            print(f"{file}: kept")
        else:
            make(file)
            print(f"{file}: made")


def new_password(file: Path) -> None:
    """Write a random password to a new file, atomically and without overwriting an existing one.

    The file is readable by all users, because the database runs as a different user than the service. No other
    container mounts the volume.
    """
    with tempfile.NamedTemporaryFile("w", dir=file.parent, encoding="ascii") as out:
        out.write(secrets.token_urlsafe(PASSWORD_BYTES))
        out.flush()
        os.fchmod(out.fileno(), 0o444)
        os.fsync(out.fileno())
        os.link(out.name, file)
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the database will be initialised with this password, so it must not be lost
    finally:
        os.close(folder)


if __name__ == "__main__":
    main()
