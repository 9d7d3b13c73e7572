"""The auth service: who the users are, whether a password is right, and which sessions are open.

It owns the users table, and it alone can sign access tokens. What it hands out is verified elsewhere without it.
"""
