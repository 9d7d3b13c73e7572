"""Tests of both services together."""
