"""Tests of `make run`, `make stop`, `make reset` and the rest of dev/."""
