"""The posts service: a resource service that verifies access tokens on its own.

For authentication it has the shared secret and nothing else. It never calls the auth service, and doesn't know its
address.
"""
