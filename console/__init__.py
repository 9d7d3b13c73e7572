"""The console: a page for learning and debugging, and the small server that delivers it.

The page is a client of two base URLs like any other: the browser calls both services itself. The server holds no key,
no token and no data, and passes nothing on.
"""
