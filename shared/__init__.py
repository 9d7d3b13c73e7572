"""What both services need and neither owns: the token contract, the keyring, errors, and how a service is run.

Verifying tokens is shared, signing them is not; reading keys is shared, writing them is not. Nothing in here imports a
service.
"""
