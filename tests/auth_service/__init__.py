"""Tests of auth_service."""
