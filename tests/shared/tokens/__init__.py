"""Tests of shared/tokens."""
