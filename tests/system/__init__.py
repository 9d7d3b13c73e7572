"""Tests of both services as one system."""
