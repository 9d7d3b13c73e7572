"""The token contract: what an access token contains, and the checks it must pass. No HTTP, and time is an argument.

Verifying is shared and signing is not: only auth_service/signing.py signs. Reading key files is shared and writing them
is not: only auth_service/keys.py writes.
"""
