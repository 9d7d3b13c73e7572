"""The posts service: a resource service behind access tokens.

Of authentication it holds the shared secret and nothing else. It never asks the auth service, and does not know where
that is.
"""
