"""`python -m auth_service …`, each time as if it was the first, in one process: to start Python takes a second.

Reads a line of JSON for each command, and answers with one.
"""

import io
import json
import os
import sys
import traceback
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

from auth_service import __main__


def run(words: list[str], given: bytes, environ: dict[str, str]) -> dict[str, Any]:
    """Run one command; return its exit status and what it wrote."""
    output, errors = io.StringIO(), io.StringIO()
    os.environ.clear()
    os.environ.update(environ)
    sys.argv = ["auth_service", *words]
    sys.stdin = io.TextIOWrapper(io.BytesIO(given), encoding="utf-8")
    status = 0
    with redirect_stdout(output), redirect_stderr(errors):
        try:
            __main__.main()
        except SystemExit as end:  # as the interpreter does it
            status = end.code if isinstance(end.code, int) else 1
            if isinstance(end.code, str):
                print(end.code, file=errors)
        except BaseException:  # noqa: BLE001
            status = 1
            traceback.print_exc()
    return {"status": status, "output": output.getvalue(), "errors": errors.getvalue()}


if __name__ == "__main__":
    for line in sys.stdin.buffer:
        command = json.loads(line)
        print(json.dumps(run(command["words"], bytes.fromhex(command["given"]), command["environ"])), flush=True)
