"""Tokens as an attacker would make them, and what each is answered with."""
