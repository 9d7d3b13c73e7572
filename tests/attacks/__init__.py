"""Tokens that an attacker might send, and the answer that each of them gets."""
