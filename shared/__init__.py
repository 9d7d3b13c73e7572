"""What both services need and neither owns: the token contract, HTTP, the database, errors, settings and logs.

Nothing in here imports a service.
"""
