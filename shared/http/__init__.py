"""What makes an aiohttp application one of ours: routes, dispatch, errors as answers, documents, start and stop.

A service calls `application.application` with its route table, and `server.run` with the result.
"""
