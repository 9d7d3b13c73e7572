"""The door of `make`: turn an old Python away, then bring the virtual environment up to date (installation.py).

Written so that any Python, however old, can read it far enough to say what it lacks.
"""

import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV_PYTHON = os.path.join(ROOT, ".venv", "bin", "python")


def main():  # type: ignore[no-untyped-def]
    """Hand over to installation.py, by the virtual environment's own Python where the caller's is too old."""
    if sys.version_info < (3, 11):
        inside = os.path.abspath(sys.executable) == VENV_PYTHON
        if not inside and "--exactly" not in sys.argv and os.path.exists(VENV_PYTHON):
            sys.stdout.flush()
            os.execv(VENV_PYTHON, [VENV_PYTHON, os.path.abspath(__file__)] + sys.argv[1:])
        found = ".".join([str(part) for part in sys.version_info[:3]])
        sys.exit(
            "Python " + found + " is too old (" + sys.executable + "): 3.11 to 3.13 is wanted."
            " Name another one: make run PYTHON=python3.12"
        )
    sys.path.insert(0, ROOT)
    from dev import installation

    installation.main()


if __name__ == "__main__":
    main()  # type: ignore[no-untyped-call]
