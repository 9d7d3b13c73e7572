"""Tests of shared/database."""
