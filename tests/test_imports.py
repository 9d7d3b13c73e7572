"""The import rules of pyproject.toml, checked by import-linter."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def lint(root: Path) -> subprocess.CompletedProcess[str]:
    """Check the import rules of the tree at `root`."""
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]
    return subprocess.run([*command, "--no-cache"], cwd=root, capture_output=True, text=True, check=False)


def test_the_rules_hold() -> None:
    """Nothing in the tree breaks an import rule."""
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "statement", "contract"),
    [
        ("posts_service/posts.py", "import auth_service.model", "The services do not know each other"),
        ("auth_service/store/sessions.py", "import posts_service.model", "The services do not know each other"),
        ("shared/tokens/claims.py", "import auth_service.signing", "shared knows no service"),
        ("console/app.py", "import posts_service.model", "The console is a client of base URLs"),
        ("console/app.py", "import shared.tokens.keyring", "The console holds no key"),
        ("posts_service/model.py", "import console.settings", "No service knows the console"),
        ("auth_service/model.py", "import auth_service.accounts", "auth_service imports downwards"),
        ("posts_service/store/search.py", "import posts_service.posts", "posts_service imports downwards"),
        ("posts_service/posts.py", "import asyncpg", "SQL only in the stores"),
        ("posts_service/handlers/posts.py", "import jose.jws", "One importer of python-jose"),
        ("shared/database/pool.py", "import shared.tokens.claims", "shared imports downwards"),
        ("shared/tokens/claims.py", "import shared.tokens.verifier", "tokens imports downwards"),
        ("auth_service/accounts.py", "import passlib.hash", "Password hashes only"),
        ("posts_service/posts.py", "import aiohttp.web", "Only the edge knows HTTP"),
    ],
)
def test_each_rule_finds_a_violation(tmp_path: Path, file: str, statement: str, contract: str) -> None:
    """A forbidden import breaks the rule that forbids it."""
    for name in ("auth_service", "posts_service", "shared", "console"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with (tmp_path / file).open("a") as out:
        out.write(f"\n{statement}\n")
    done = lint(tmp_path)
    assert done.returncode == 1
    assert [line for line in done.stdout.splitlines() if line.startswith(contract) and "BROKEN" in line]
