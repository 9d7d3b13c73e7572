"""What `make run` prints once everything is ready: the URLs, the commands, and four lines to paste."""

import json
import shlex
import urllib.request
from collections.abc import Mapping

from dev.data_directory import DataDirectory
from dev.settings import DEFAULT_DATA_DIR

_ACCOUNT = {"email": "ada@example.com", "password": "ferns whistle behind nine teapots"}
_POST = {"title": "Hello", "body": "My first post"}


def text(urls: Mapping[str, str], directory: DataDirectory, seconds: float) -> str:
    """Return the instructions for a run whose start took so many seconds; the URLs are by name."""
    data = directory.path
    outside = f"\nThe databases are in {directory.postgres.resolve().parent}" if directory.postgres.is_symlink() else ""
    moved = "" if data == DEFAULT_DATA_DIR else f"\nAdd DATA_DIR={shlex.quote(str(data))} to each of these commands."
    return f"""
Open this in a browser:  {urls["console"]}
Sign up there, write a post, then forge your token and watch posts refuse it.

auth   {urls["auth"]}
posts  {urls["posts"]}

up after {seconds:.1f} s. Data and key: {data}{outside}
Ctrl-C or `make stop` ends everything and keeps the data; `make reset` deletes the data.
`make stop-auth` stops only auth; posts keeps working. `make start-auth` starts auth again.{moved}

Without a browser: paste these lines into another terminal to register, log in, create a post and list the posts.
(The second time, the first line answers 409, because the account exists.)

{curl_commands(urls["auth"], urls["posts"])}
"""


def curl_commands(auth: str, posts: str) -> str:
    """Return one command a line, for any shell with curl and sed, given the base URLs."""
    proxies = urllib.request.getproxies_environment()
    uses_proxy = bool({"http", "all"} & set(proxies)) and not urllib.request.proxy_bypass("127.0.0.1")
    curl = "curl -sS --noproxy 127.0.0.1" if uses_proxy else "curl -sS"
    json_type = "-H 'Content-Type: application/json'"
    bearer = '-H "Authorization: Bearer $TOKEN"'
    extract = """sed 's/.*"access_token": *"\\([^"]*\\)".*/\\1/'"""
    return f"""\
{curl} {auth}/register {json_type} -d '{json.dumps({**_ACCOUNT, "name": "Ada"})}' -w '\\n'
TOKEN=$({curl} {auth}/login {json_type} -d '{json.dumps(_ACCOUNT)}' | {extract}); echo "$TOKEN"
{curl} {posts}/posts {bearer} {json_type} -d '{json.dumps(_POST)}' -w '\\n'
{curl} {posts}/posts {bearer} -w '\\n'"""
