#!/usr/bin/env bash
# Run the tests of passwords and accounts with libpass and bcrypt 5 instead of passlib and bcrypt 4, in an environment
# that is thrown away. Arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."

environment=$(mktemp -d)
trap 'rm -rf "$environment"' EXIT
uv() { .venv/bin/uv "$@" --quiet --no-config; }
uv venv --python .venv/bin/python "$environment/venv"
python=$environment/venv/bin/python
install() { uv pip install --python "$python" --require-hashes --no-deps "$@"; }
install -r requirements/test.txt -r requirements/docs.txt
# both provide `passlib`, so one must go before the other comes
uv pip uninstall --python "$python" passlib bcrypt
install -r requirements/libpass.txt
"$python" -c '
from importlib.metadata import packages_distributions, version
assert packages_distributions()["passlib"] == ["libpass"]
print("libpass", version("libpass"), "and bcrypt", version("bcrypt"))'
TEST_DATABASE=${TEST_DATABASE:-embedded} "$python" -m pytest -q "$@" tests/auth_service/test_passwords.py \
  tests/auth_service/test_golden_hashes.py tests/auth_service/test_accounts.py tests/auth_service/test_me.py \
  tests/auth_service/test_administration.py
