"""Tests of posts_service."""
