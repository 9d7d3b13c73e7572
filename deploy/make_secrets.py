"""python -m deploy.make_secrets FOLDER: makes the key files and the database passwords, unless they exist.

Nothing secret is printed.
"""

import os
import secrets
import sys
import tempfile
from pathlib import Path

from auth_service import keys

PASSWORD_BYTES = 32


def main() -> None:
    """Make what is missing in the folders of FOLDER, one for each volume."""
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
    """Write a random password that appears whole or not at all, and never over another.

    Anyone may read the file: the database runs as another user than the service, and no other container has the volume.
    """
    with tempfile.NamedTemporaryFile("w", dir=file.parent, encoding="ascii") as out:
        out.write(secrets.token_urlsafe(PASSWORD_BYTES))
        out.flush()
        os.fchmod(out.fileno(), 0o444)
        os.fsync(out.fileno())
        os.link(out.name, file)
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the database is about to be made with it, for good
    finally:
        os.close(folder)


if __name__ == "__main__":
    main()
