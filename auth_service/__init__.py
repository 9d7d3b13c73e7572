"""The auth service: owns the users, checks passwords, keeps sessions, and signs access tokens.

It is the only service that can sign. Other services verify its tokens without calling it.
"""
