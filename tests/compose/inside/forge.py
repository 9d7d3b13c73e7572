"""Runs inside the posts container: signs tokens with the key that is there. Prints them as a JSON object.

The argument is a token of auth whose claims and key id they copy.
"""

import base64
import hashlib
import hmac
import json
import os
import sys
from pathlib import Path
from typing import Any


def encode(data: bytes) -> str:
    """Encode as unpadded base64url."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    """Decode unpadded base64url."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def signed(header: dict[str, Any], claims: dict[str, Any], key: bytes) -> str:
    """Sign a token with HS256."""
    parts = ".".join(encode(json.dumps(part).encode()) for part in (header, claims))
    return f"{parts}.{encode(hmac.digest(key, parts.encode(), hashlib.sha256))}"


theirs, claims = (json.loads(decode(part)) for part in sys.argv[1].split(".")[:2])
shared = json.loads(Path(os.environ["JWT_KEYRING_FILE"]).read_text(encoding="utf-8"))["keys"][0]
ours = {**theirs, "kid": shared["kid"]}
key = decode(shared["k"])
print(
    json.dumps(
        {
            "for posts": signed({**ours, "typ": "at+jwt"}, {**claims, "aud": ["posts"], "scope": "posts:read"}, key),
            "for auth": signed(ours, claims, key),
            "for auth, with the account key's id": signed(theirs, claims, key),
        }
    )
)
