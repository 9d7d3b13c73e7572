"""Runs inside a container: which arguments, each HOST:PORT, accept a connection? Prints a JSON list."""

import json
import socket
import sys
from concurrent.futures import ThreadPoolExecutor


def accepts(target: str) -> bool:
    """Whether a target accepts a connection."""
    host, _, port = target.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=3):
            return True
    except OSError:
        return False


with ThreadPoolExecutor(max_workers=len(sys.argv)) as pool:
    targets = sys.argv[1:]
    print(json.dumps([target for target, yes in zip(targets, pool.map(accepts, targets), strict=True) if yes]))
